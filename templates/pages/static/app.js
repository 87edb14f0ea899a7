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

// Shows a part of the page again when the server says that it has changed.
const live = document.querySelector("[data-live]");
if (live) {
  const events = new EventSource(live.dataset.live);
  // Not the address of this page: it may be that of a refused form, which loading it again would send again.
  const address = live.dataset.live.replace(/\/events$/, "");
  events.onmessage = async (event) => {
    if (event.data === live.dataset.version) return;
    const answer = await fetch(address);
    if (!answer.ok || answer.redirected) return location.assign(address);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(live.id);
    const focused = live.contains(document.activeElement) && document.activeElement.getAttribute("href");
    live.dataset.version = fresh.dataset.version;
    live.replaceChildren(...fresh.childNodes);
    if (focused) live.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  };
}

// Buttons that print exist only where there is a script.
for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
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
