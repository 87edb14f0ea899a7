// A browser whose pages are watched: nothing may be written to the console as an error, refused by the policy, or loaded from
// elsewhere.

import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** What went wrong, as sentences. */
export const problems = [];

export function check(holds, what) {
  if (!holds) {
    problems.push(what);
    console.log(`  ✘ ${what}`);
  }
  return holds;
}

export function launch(executable) {
  return chromium.launch({ executablePath: executable, headless: true, args: FLAGS });
}

/** A page in a context of its own. `requests` counts what the last page loaded. */
export async function watched(browser, base, options = {}) {
  const context = await browser.newContext({ baseURL: base, locale: "en-GB", acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.watched = { requests: [] };
  page.on("request", (request) => {
    if (request.isNavigationRequest() && request.frame() === page.mainFrame()) page.watched.requests = [];
    page.watched.requests.push(request);
    check(request.url().startsWith(base), `${page.url()} loads ${request.url()}`);
  });
  page.on("console", (message) => {
    // The browser reports the status of pages that are errors on purpose.
    const isStatus = message.text().startsWith("Failed to load resource: the server responded with a status of 4");
    check(message.type() !== "error" || isStatus, `${page.url()}: console: ${message.text()}`);
  });
  page.on("pageerror", (error) => check(false, `${page.url()}: ${error}`));
  page.on("dialog", (dialog) => dialog.accept());
  return page;
}

/** Opens a page that must answer 200. */
export async function open(page, path, status = 200) {
  const response = await page.goto(path);
  check(response.status() === status, `${path} answers ${response.status()}`);
  return response;
}

export async function press(page, name) {
  await page.getByRole("button", { name }).first().click();
  await page.waitForLoadState("load");
}

/** The heading, the notice or the error that a flow has led to. */
export async function shows(page, text, where) {
  const found = await page.getByText(text).first().isVisible().catch(() => false);
  const body = found ? "" : (await page.locator("main").innerText().catch(() => "")).slice(0, 300);
  check(found, `${where}: "${text}" is not on ${page.url()}: ${body}`);
}

export async function logIn(page, email, password) {
  await open(page, "/ui/login");
  await page.getByLabel("Email address").fill(email);
  await page.getByLabel("Password").fill(password);
  await press(page, "Log in");
}
