// node main.js flows BASE CHROMIUM PASSWORD ADMIN ATTENDANT MAILS
// node main.js matrix BASE CHROMIUM PASSWORD ADMIN DRIVER FOLDER

import { launch, problems } from "./browser.js";
import { flows } from "./flows.js";
import { matrix } from "./matrix.js";

const [what, base, executable, password, admin, user, folder] = process.argv.slice(2);
const browser = await launch(executable);
const begun = Date.now();
try {
  if (what === "flows") {
    await flows(browser, base, { admin, attendant: user, password, mails: folder });
  } else {
    await matrix(browser, base, { admin, driver: user, password }, folder);
  }
} catch (error) {
  problems.push(String(error));
  console.log(`  ✘ ${error.stack}`);
} finally {
  await browser.close();
}
console.log(`  ${what}: ${problems.length} problems, ${((Date.now() - begun) / 1000).toFixed(1)} s`);
process.exit(problems.length ? 1 : 0);
