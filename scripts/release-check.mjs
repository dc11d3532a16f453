// Says what a publisher still has to fill in, and checks that all versions agree. Exits 1 while something is missing.
import { readFileSync } from 'node:fs';

const read = (file) => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
const manifest = JSON.parse(read('package.json'));
const lock = JSON.parse(read('package-lock.json'));
const missing = [];

/** Facts that only the publisher knows: none is invented here. */
const OWNER_FACTS = {
  author: 'who publishes it',
  repository: 'where the source is',
  bugs: 'where problems are reported',
  homepage: 'the page of the project',
  mcpName: 'its name in the MCP registry, io.github.<owner>/threadkeeper',
};
for (const [key, what] of Object.entries(OWNER_FACTS)) {
  if (manifest[key] === undefined) missing.push(`package.json lacks "${key}": ${what}`);
}

const { version } = manifest;
for (const [where, found] of [
  ['package-lock.json', lock.version],
  ['package-lock.json, packages[""]', lock.packages['']?.version],
]) {
  if (found !== version) missing.push(`${where} says version ${found}, and package.json ${version}`);
}
const changelog = read('CHANGELOG.md');
if (!changelog.includes(`## ${version}`)) missing.push(`CHANGELOG.md has no section "## ${version}"`);
if (/## Unreleased\n\n###/.test(changelog))
  missing.push('CHANGELOG.md has changes under "Unreleased": give them a version');

for (const line of missing) console.error(`- ${line}`);
console.log(
  missing.length === 0
    ? `ready to publish ${version}`
    : `${missing.length} things to do before ${version} can be published`,
);
process.exitCode = missing.length === 0 ? 0 : 1;
