// What people do with the pages, from the registration to the job that failed. Runs with and without JavaScript.

import { attend } from "./attendant.js";
import { check, open, press, shows, watched } from "./browser.js";
import { code, mailedLink } from "./factor.js";
import { operate } from "./operator.js";

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
  await shows(page, "You cannot view this page", "operations for a driver");
}

async function secondFactor(page, name) {
  await open(page, "/ui/profile");
  await page.getByRole("link", { name: "Turn it on" }).click();
  await page.getByLabel("Current password").fill(NEW_PASSWORD);
  await press(page, "Turn it on");
  check(await page.getByRole("img", { name: "QR code" }).isVisible(), "there is no QR code");
  const secret = await page.locator("p code").innerText();
  await page.getByLabel("Code", { exact: true }).fill("000000");
  await press(page, "Confirm and turn on");
  await shows(page, "The code is wrong", "a wrong code");
  await page.getByLabel("Code", { exact: true }).fill(code(secret));
  await press(page, "Confirm and turn on");
  await shows(page, "Recovery codes", "a second factor");
  const recovery = await page.locator("ol code").allInnerTexts();
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
  check(recovery.length === 10 && file.suggestedFilename() === "parkade-recovery-codes.txt", "the recovery codes are incomplete");
  await open(page, "/ui/second-factor");
  await press(page, "New recovery codes");
  await page.getByRole("link", { name: "Confirm this with a code" }).click();
  await page.getByLabel("Code", { exact: true }).fill(code(secret, 30));
  await press(page, "Confirm");
  await press(page, "New recovery codes");
  const renewed = await page.locator("ol code").allInnerTexts();
  check(renewed.length === 10 && !renewed.includes(recovery[0]), "there are no new recovery codes");
  await press(page, "Log out");
  await logInWith(page, name, NEW_PASSWORD);
  await page.getByLabel("Password").fill(NEW_PASSWORD);
  await page.getByLabel("Code", { exact: true }).fill(renewed[0]);
  await press(page, "Log in");
  await shows(page, "My parking", "a login with a code");
  // The login has confirmed the session.
  await open(page, "/ui/second-factor");
  await shows(page, "9 recovery codes are left", "a used recovery code");
  await press(page, "Turn off");
  await shows(page, "The second factor is off", "a second factor");
}

async function logInWith(page, name, password) {
  await open(page, "/ui/login");
  await page.getByLabel("Email address").fill(`${name}@example.com`);
  await page.getByLabel("Password").fill(password);
  await press(page, "Log in");
}

/** By the link in the mail. */
async function forgotten(page, name, mails) {
  await page.context().clearCookies();
  await open(page, "/ui/forgot-password");
  await page.getByLabel("Email address").fill(`${name}@example.com`);
  await press(page, "Send the link");
  await shows(page, "If this address has an account", "a forgotten password");
  await open(page, await mailedLink(mails, `${name}@example.com`, "/api/auth/reset-password\\?token="));
  await page.getByLabel("New password").fill("password1");
  await press(page, "Set password");
  await shows(page, "too easy to guess", "a weak password");
  await page.getByLabel("New password").fill(PASSWORD);
  await press(page, "Set password");
  await shows(page, "Your password is set", "a new password");
  await page.getByRole("main").getByRole("link", { name: "Log in" }).click();
  await logInWith(page, name, PASSWORD);
  await shows(page, "You are not parked", "a login with the new password");
  await press(page, "Log out");
}

/** What a driver does. Returns the page and the driver's name, for the operator. */
async function drive(browser, base, mails, script) {
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
  await secondFactor(page, name);
  await forgotten(page, name, mails);
  console.log(`  a driver ${script ? "with" : "without"} JavaScript: done`);
  return [page, name];
}

/** Drivers at the same time; operators one after the other, because they pause the same queue. */
export async function flows(browser, base, { admin, attendant, password, mails }) {
  const attendants = (async () => {
    for (const script of [true, false]) await attend(browser, base, attendant, password, script);
  })();
  const drivers = await Promise.all([true, false].map((script) => drive(browser, base, mails, script)));
  await attendants;
  for (const [page, name] of drivers) {
    await operate(page, admin, password, name);
    await page.context().close();
  }
  console.log("  an operator with and without JavaScript: done");
}
