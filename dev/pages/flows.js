// What people do with the pages, from the registration to the job that failed. Runs with and without JavaScript.

import { check, logIn, open, press, shows, watched } from "./browser.js";

const PASSWORD = "Correct-horse-1";
const NEW_PASSWORD = "Another-horse-2";

/** A local time in some hours, as fields for times have it. Lots and tests use the zone of the installation. */
function inHours(hours) {
  const zone = new Intl.DateTimeFormat("sv-SE", { timeZone: "Asia/Kolkata", dateStyle: "short", timeStyle: "short" });
  return zone.format(new Date(Date.now() + hours * 3_600_000)).replace(" ", "T");
}

async function register(page, name) {
  await open(page, "/ui");
  await page.getByRole("link", { name: "Sign up" }).click();
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Email address").fill(`${name}@example.com`);
  await page.getByLabel("Password").fill("password");
  await page.getByLabel("Licence plate").fill(`KA ${name.slice(-4)}`);
  await press(page, "Create account");
  await shows(page, "There is a problem", "a weak password");
  const focused = await page.evaluate(() => document.activeElement?.id);
  check(focused === "errors", `the errors are not focused, but ${focused}`);
  check((await page.getByLabel("Name", { exact: true }).inputValue()) === name, "what was typed is lost");
  check((await page.getByLabel("Password").inputValue()) === "", "a password is shown again");
  await page.getByLabel("Password").fill(PASSWORD);
  await press(page, "Create account");
  await shows(page, "You are not parked", "registration");
}

async function language(page) {
  await page.getByLabel("Language").selectOption("de");
  await press(page, "Choose");
  await shows(page, "Sie parken gerade nicht", "German");
  await page.getByLabel("Sprache").selectOption("hi");
  await press(page, "Wählen");
  await shows(page, "आपकी गाड़ी अभी पार्क नहीं है", "Hindi");
  await page.getByLabel("भाषा").selectOption("en");
  await press(page, "चुनें");
  await shows(page, "You are not parked", "English");
}

async function findAndBook(page) {
  await page.getByRole("link", { name: "Find parking" }).first().click();
  await page.getByLabel("Name, street or postal code").fill("no such lot");
  await press(page, "Search");
  await shows(page, "No lot found", "an empty search");
  await page.getByLabel("Name, street or postal code").fill("harb 400");
  await press(page, "Search");
  await page.getByRole("link", { name: "Harbour" }).click();
  await press(page, "Book a spot now");
  await shows(page, "Your stay has started", "booking");
  await shows(page, "Cost so far", "booking");
}

async function leave(page, transaction) {
  await open(page, "/ui/parking");
  await page.getByRole("link", { name: "Leave and pay" }).click();
  if (transaction) {
    await page.getByLabel("UPI").check();
    await page.getByLabel("Transaction id").fill(transaction);
  }
  await press(page, "Leave now");
  await shows(page, "Here is your bill", "leaving");
}

async function payLater(page, transaction) {
  await open(page, "/ui/history");
  await page.getByRole("link", { name: "Pay", exact: true }).first().click();
  await press(page, "Pay");
  await shows(page, "There is a problem", "a payment without a method");
  await page.getByLabel("Card").check();
  await page.getByLabel("Transaction id").fill(transaction);
  await press(page, "Pay");
  await shows(page, "Thank you", "paying later");
}

async function reserve(page) {
  await open(page, "/ui/lots?q=Main");
  await page.getByRole("link", { name: "Main Street" }).first().click();
  await page.getByLabel("From").fill(inHours(24));
  await page.getByLabel("Until").fill(inHours(23));
  await press(page, "Reserve");
  await shows(page, "There is a problem", "a window that ends before it begins");
  await page.getByLabel("From").fill(inHours(24));
  await page.getByLabel("Until").fill(inHours(26));
  await press(page, "Check time and price");
  await shows(page, "for this time", "the price of a window");
  await press(page, "Reserve");
  await shows(page, "Your spot is reserved", "reserving");
  await page.getByRole("link", { name: "Main Street" }).first().click();
  await page.getByLabel("Until").fill(inHours(27));
  await press(page, "Change the end");
  await shows(page, "The end is changed", "extending");
  await press(page, "Cancel reservation");
  await shows(page, "The reservation is cancelled", "cancelling");
}

async function exportFile(page, script) {
  await open(page, "/ui/exports");
  await press(page, "Create the file");
  const download = page.getByRole("link", { name: "Download" });
  for (let tries = 0; tries < 100 && !(await download.isVisible()); tries += 1) {
    // With the script, the page follows the task by itself.
    if (script) await page.waitForTimeout(100);
    else await page.reload();
  }
  const [file] = await Promise.all([page.waitForEvent("download"), download.click()]);
  check(file.suggestedFilename().endsWith(".xlsx"), `the export is called ${file.suggestedFilename()}`);
  await file.delete();
}

async function profile(page, name) {
  await open(page, "/ui/profile");
  await page.locator("#vehicle-plate").fill(`MH ${name.slice(-4)}`);
  await press(page, "Add vehicle");
  await shows(page, "The vehicle is added", "a vehicle");
  await press(page, `Remove MH ${name.slice(-4)}`);
  await shows(page, "The vehicle is removed", "a vehicle");
  await page.getByLabel("Daily reminders").uncheck();
  await page.locator("form[action$=mails] button").click();
  await shows(page, "Your choice is saved", "mails");
  check(!(await page.getByLabel("Daily reminders").isChecked()), "the choice of mails is lost");
  await page.locator("#contact-phone_number").fill("98765 4" + String(Date.now()).slice(-4));
  await page.locator("#contact-current_password").fill("wrong");
  await page.locator("form[action$=contact] button").click();
  await shows(page, "Your current password is wrong", "a wrong password");
  await page.locator("#password-current_password").fill(PASSWORD);
  await page.locator("#password-password").fill(NEW_PASSWORD);
  await press(page, "Change password");
  await shows(page, "Your password is changed", "a new password");
}

async function logOutAndIn(page, name) {
  await press(page, "Log out");
  await shows(page, "You are logged out", "logging out");
  await open(page, "/ui/figures");
  check(page.url().includes("/ui/login?next="), `anonymous visitors get to ${page.url()}`);
  await page.getByLabel("Email address").fill(`${name}@example.com`);
  await page.getByLabel("Password").fill(PASSWORD);
  await press(page, "Log in");
  await shows(page, "The email address or the password is wrong", "the old password");
  // By keyboard alone.
  await page.getByLabel("Email address").focus();
  await page.keyboard.press("Tab");
  await page.keyboard.type(NEW_PASSWORD);
  await page.keyboard.press("Enter");
  await page.waitForLoadState("load");
  await page.waitForURL("**/ui/figures");
  await shows(page, "Stays by month", "the page from before the login");
  await open(page, "/ui/admin", 403);
  await shows(page, "You may not see this page", "operations for a driver");
}

async function forgotten(page) {
  await page.context().clearCookies();
  await open(page, "/ui/forgot-password");
  await page.getByLabel("Email address").fill("nobody@example.com");
  await press(page, "Send the link");
  await shows(page, "If this address has an account", "a forgotten password");
}

async function operate(page, admin, name) {
  await logIn(page, admin, PASSWORD);
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
  await open(page, "/ui/admin/users");
  await page.getByLabel("Complete name or email address").fill(`${name}@example.com`);
  await press(page, "Search");
  await shows(page, `${name}@example.com`, "a user");
  await open(page, "/ui/admin/audit");
  await shows(page, "bill waived", "the audit log");
  await open(page, "/ui/admin/health");
  await page.getByRole("link", { name: "Check now" }).click();
  await shows(page, "every ended session costs", "the rules of the data");
  await press(page, "Log out");
}

/** What a driver does. Returns the page and the driver's name, for the operator. */
async function drive(browser, base, script) {
  // Its end becomes a plate, which no two drivers may share.
  const name = `Flow${script ? "With" : "Without"}${String(Date.now()).slice(-6)}${script ? 1 : 2}`;
  const page = await watched(browser, base, { javaScriptEnabled: script });
  await register(page, name);
  await language(page);
  await findAndBook(page);
  await leave(page, `T1-${name}`);
  await findAndBook(page);
  await leave(page);
  await payLater(page, `T2-${name}`);
  await reserve(page);
  await exportFile(page, script);
  await profile(page, name);
  await findAndBook(page);
  await leave(page);
  await logOutAndIn(page, name);
  await forgotten(page);
  console.log(`  a driver ${script ? "with" : "without"} JavaScript: done`);
  return [page, name];
}

/** Drivers at the same time; operators one after the other, because they pause the same queue. */
export async function flows(browser, base, admin) {
  const drivers = await Promise.all([true, false].map((script) => drive(browser, base, script)));
  for (const [page, name] of drivers) {
    await operate(page, admin, name);
    await page.context().close();
  }
  console.log("  an operator with and without JavaScript: done");
}
