// What attendants do at the barrier, while a second browser looks at the same lot.

import { check, logIn, open, press, shows, watched } from "./browser.js";

/** A car arrives, and the other browser shows it within a second. */
async function letIn(page, other, plate) {
  await page.getByLabel("Licence plate").fill(plate);
  await press(page, "Arrival");
  await shows(page, "The stay has started", "an arrival");
  const begun = Date.now();
  const link = other.locator("#live").getByRole("link", { name: plate });
  const seen = await link.waitFor({ timeout: 3_000 }).then(() => true, () => false);
  check(seen && Date.now() - begun < 1_000, `another browser shows the arrival after ${Date.now() - begun} ms`);
}

/** The page of a refused form follows the lot, and does not send the form again. */
async function refuse(page, other, plate) {
  const lot = new URL(other.url()).pathname;
  await letIn(page, other, plate);
  await page.getByLabel("Licence plate").fill(plate);
  await press(page, "Arrival");
  await shows(page, "A car with this plate is parked already", "an arrival of a parked car");
  await other.getByLabel("Licence plate").fill(plate);
  await press(other, "Departure");
  await shows(other, "The stay has ended", "a departure elsewhere");
  const gone = page.locator("#live").getByRole("link", { name: plate }).waitFor({ state: "detached", timeout: 3_000 });
  check(await gone.then(() => true, () => false), "the page of a refused form does not follow the lot");
  await open(other, lot);
  check(await other.locator("#live").getByRole("link", { name: plate }).count() === 0, "a refused arrival was sent again");
}

export async function attend(browser, base, attendant, password, script) {
  const page = await watched(browser, base, { javaScriptEnabled: script, viewport: { width: 320, height: 700 } });
  const other = await watched(browser, base);
  const plate = `DL ${String(Date.now()).slice(-6)}`;
  await logIn(page, attendant, password);
  await shows(page, "Lots where you work", "the first page of an attendant");
  await page.getByRole("link", { name: "Main Street" }).click();
  await logIn(other, attendant, password);
  await open(other, new URL(page.url()).pathname);
  if (script) await refuse(page, other, `KA ${plate.slice(3)}`);
  await letIn(page, other, plate);
  await page.getByLabel("Licence plate").fill(plate);
  await press(page, "Arrival");
  await shows(page, "A car with this plate is parked already", "a second arrival");
  check((await page.locator("#plates option").evaluateAll((all) => all.map((one) => one.value))).includes(plate), "the plate is not suggested");
  await press(page, "Departure");
  await shows(page, "The stay has ended", "a departure");
  await press(page, "Payment received");
  await shows(page, "Choose how it was paid", "a payment without a method");
  await page.getByLabel("Cash").check();
  await press(page, "Payment received");
  await shows(page, "The payment is recorded", "a payment");
  check((await page.getByRole("button", { name: "Print the receipt" }).isVisible()) === script, "the button for printing needs a script");
  await page.getByRole("link", { name: "Main Street" }).click();
  await shows(page, "Expected today", "the lot again");
  await open(page, "/ui/admin", 403);
  await page.context().close();
  await other.context().close();
  console.log(`  an attendant ${script ? "with" : "without"} JavaScript: done`);
}
