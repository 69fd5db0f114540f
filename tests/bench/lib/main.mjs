// SPDX-License-Identifier: Apache-2.0
// Runs the scenarios one after the other, prints their tables, keeps their figures as JSON.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../e2e/lib/place.mjs';
import { machine, versions } from './machine.mjs';
import { options } from './options.mjs';
import { heading, markdown, of, plain } from './table.mjs';
import cycles from '../scenarios/cycles.mjs';
import failover from '../scenarios/failover.mjs';
import http from '../scenarios/http.mjs';
import keys from '../scenarios/keys.mjs';
import lone from '../scenarios/lone.mjs';
import offered from '../scenarios/offered.mjs';
import slow from '../scenarios/slow.mjs';
import soak from '../scenarios/soak.mjs';
import streams from '../scenarios/streams.mjs';

const scenarios = [cycles, lone, offered, slow, keys, http, streams, failover, soak];
const given = options(scenarios.map((one) => one.name));
const folder = join(root, 'build/bench', given.quick ? 'quick' : ''); // quick figures never replace real ones
const say = (text) => console.error(`[${String(Math.round(performance.now() / 1000)).padStart(4)} s] ${text}`);

if (given.list) {
    scenarios.forEach((one) => console.log(`${one.name.padEnd(10)} ${one.title}`));
    process.exit(0);
}
if (given.keep) {
    process.env.HOLDFAST_KEEP = '1';
}

/** What happens at the end, in their order, whatever happened before. */
class Ends {
    #calls = [];

    after = (call) => this.#calls.push(call);

    diagnostic = say;

    async run() {
        for (const call of this.#calls.splice(0)) {
            await call();
        }
    }
}

async function measure(scenario) {
    const ends = new Ends();
    const { runs, seconds, warmup, quick } = given;
    const result = {
        name: scenario.name, title: scenario.title, command: given.commandFor(scenario.name), when: new Date().toISOString(),
        machine: machine(), versions: versions(), settings: { runs, seconds, warmup, quick },
        columns: [], rows: [], notes: [], verdicts: [],
    };
    try {
        await scenario.run({ ...given, t: ends, result, say: (text) => say(`${scenario.name}: ${text}`) });
    } finally {
        await ends.run();
    }
    for (const row of result.rows) {
        row.summary = Object.fromEntries(result.columns.map(({ key }) => [key, of(row, key)]));
    }
    if (quick) {
        result.notes.push('a quick run: the figures mean nothing');
        result.verdicts = [];
    }
    writeFileSync(join(folder, `${scenario.name}.json`), `${JSON.stringify(result, null, 1)}\n`);
    return result;
}

function stored(name) {
    try {
        return JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
    } catch {
        say(`${name}: no figures in build/bench`);
        return null;
    }
}

function print(result, first) {
    if (first) {
        console.log(`${heading(result)}\n`);
    }
    console.log(`${given.markdown ? markdown(result) : plain(result)}\n`);
    if (given.into) {
        putInto(given.into, result);
    }
}

function putInto(file, result) {
    const text = readFileSync(file, 'utf8');
    const begin = `<!-- bench ${result.name} -->`;
    const from = text.indexOf(begin);
    const to = text.indexOf('<!-- end -->', from);
    if (from < 0 || to < 0) {
        say(`${file}: no ${begin} with an <!-- end -->`);
        return;
    }
    writeFileSync(file, `${text.slice(0, from + begin.length)}\n${markdown(result)}\n\n${heading(result)}.\n${text.slice(to)}`);
}

mkdirSync(folder, { recursive: true });
let failed = 0;
let printed = 0;
for (const scenario of scenarios.filter((one) => given.chosen.includes(one.name))) {
    try {
        const result = given.report ? stored(scenario.name) : await measure(scenario);
        if (result) {
            print(result, printed++ === 0);
        }
    } catch (error) {
        failed++;
        say(`${scenario.name} FAILED: ${error.stack}`);
    }
}
process.exit(failed ? 1 : 0);
