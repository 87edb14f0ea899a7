// node main.js flows BASE CHROMIUM ADMIN
// node main.js matrix BASE CHROMIUM ADMIN DRIVER PASSWORD FOLDER

import { launch, problems } from "./browser.js";
import { flows } from "./flows.js";
import { matrix } from "./matrix.js";

const [what, base, executable, admin, driver, password, folder] = process.argv.slice(2);
const browser = await launch(executable);
const begun = Date.now();
try {
  if (what === "flows") {
    await flows(browser, base, admin);
  } else {
    await matrix(browser, base, { admin, driver, password }, folder);
  }
} catch (error) {
  problems.push(String(error));
  console.log(`  ✘ ${error.stack}`);
} finally {
  await browser.close();
}
console.log(`  ${what}: ${problems.length} problems, ${((Date.now() - begun) / 1000).toFixed(1)} s`);
process.exit(problems.length ? 1 : 0);
