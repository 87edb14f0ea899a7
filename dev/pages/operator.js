// What operators do, from the first lot to the job that failed.

import { check, logIn, open, press, shows } from "./browser.js";

/** The warning leads to the failed job, which says why, and is tried again. */
async function deadJob(page) {
  await open(page, "/ui/admin");
  await page.getByRole("link", { name: /failed/ }).click();
  const failed = page.getByRole("listitem").filter({ has: page.getByRole("button", { name: /^Try again/ }) });
  const before = await failed.count();
  await shows(page, "550 no such mailbox", "the error of a failed job");
  await press(page, "Try again send-welcome");
  await shows(page, "The job is waiting for its next attempt", "requeueing");
  check((await failed.count()) === before - 1, "the job is still among those that failed");
}

export async function operate(page, admin, password, name) {
  await logIn(page, admin, password);
  await shows(page, "Revenue today", "today");
  await page.getByRole("link", { name: "Lots", exact: true }).click();
  await page.getByRole("link", { name: "New lot" }).click();
  await page.getByLabel("Name", { exact: true }).fill(`Lot ${name}`);
  await page.getByLabel("Address").fill("2, Side Street");
  await page.getByLabel("Postal code").fill("400002");
  await page.getByLabel("Price per hour").fill("nothing");
  await page.getByLabel("Number of spots").fill("3");
  await press(page, "Save");
  await shows(page, "There is a problem", "a price that is no number");
  await page.getByLabel("Price per hour").fill("12.50");
  await press(page, "Save");
  await shows(page, "The lot is open", "a new lot");
  await page.getByRole("link", { name: `Lot ${name}` }).click();
  await page.getByLabel("Price per hour").fill("15");
  await page.getByLabel("Number of spots").fill("2");
  await press(page, "Save");
  await shows(page, "The lot is changed", "a changed lot");
  await page.getByRole("link", { name: `Lot ${name}` }).click();
  await page.getByLabel("Yes, close it for good").check();
  await press(page, "Close lot");
  await shows(page, "The lot is closed", "a closed lot");
  await open(page, "/ui/admin/unpaid");
  await page.getByText("Waive").first().click();
  await page.getByLabel("Reason").first().fill("A broken barrier");
  await press(page, "Waive the bill");
  await shows(page, "The bill is waived", "waiving");
  await open(page, "/ui/admin/jobs");
  await press(page, "Pause mail");
  await shows(page, "Paused.", "a queue");
  await press(page, "Resume mail");
  await shows(page, "Resumed.", "a queue");
  await press(page, "Run now file-cleanup");
  await shows(page, "It runs now", "a schedule");
  await deadJob(page);
  await open(page, "/ui/admin/users");
  await page.getByLabel("Complete name or email address").fill(`${name}@example.com`);
  await press(page, "Search");
  await shows(page, `${name}@example.com`, "a user");
  await open(page, "/ui/admin/audit");
  for (const action of ["lot created", "lot changed", "lot deleted", "bill waived", "jobs requeued"]) {
    await shows(page, action, "the audit log");
  }
  await shows(page, '"from":12.5', "the new price in the audit log");
  await open(page, "/ui/admin/health");
  await page.getByRole("link", { name: "Check now" }).click();
  await shows(page, "every ended session costs", "the rules of the data");
  await press(page, "Log out");
}
