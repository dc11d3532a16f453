// Writes the generated parts of the README and of docs/ from the definitions, so that they are always true.
import { writeFileSync } from 'node:fs';
import { generatedDocs } from './docs.js';

for (const [file, text] of await generatedDocs()) writeFileSync(new URL(`../${file}`, import.meta.url), text);
