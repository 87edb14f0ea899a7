// Enhancements only: every page works without this file.

// Asks before a form does something that cannot be undone.
for (const button of document.querySelectorAll("button[data-sure]")) {
  button.addEventListener("click", (event) => {
    if (!confirm(button.dataset.sure)) event.preventDefault();
  });
}

// Errors get the focus, so that keyboards and screen readers start there.
document.getElementById("errors")?.focus();

// Shows the progress of a task, and its end by loading the page again.
const followed = document.querySelector("[data-follow]");
if (followed) {
  const bar = followed.querySelector("progress");
  const events = new EventSource(followed.dataset.follow);
  events.onmessage = (event) => {
    const task = JSON.parse(event.data);
    if (task.total > 0) bar.value = (100 * task.current) / task.total;
    if (["SUCCESS", "FAILURE", "CANCELLED"].includes(task.state)) {
      events.close();
      location.reload();
    }
  };
}

// The end of a time follows its start, which most people change first.
const from = document.querySelector("input[type=datetime-local][name=from]");
const to = document.querySelector("input[type=datetime-local][name=to]");
from?.addEventListener("change", () => {
  if (from.value && to && (!to.value || to.value <= from.value)) {
    const end = new Date(`${from.value}Z`);
    end.setUTCHours(end.getUTCHours() + 2);
    to.value = end.toISOString().slice(0, 16);
  }
});
