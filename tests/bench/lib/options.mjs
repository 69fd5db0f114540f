// SPDX-License-Identifier: Apache-2.0
// The command line of tests/bench/run.
import { parseArgs } from 'node:util';

const HELP = `usage: tests/bench/run [options]

Builds the release programs, starts real clusters on loopback (three ledger nodes, mutual TLS, every
commit synced on a majority, hash chain and checkpoints on) and measures them. Prints tables, and
writes build/bench/SCENARIO.json with every run's figures (--quick: build/bench/quick).

  --only NAME[,NAME...]   only these scenarios (--list names them)
  --list                  the scenarios
  --runs N                measured runs of each row; the table has median (min to max)  (5)
  --seconds S             of each run  (8)
  --warmup S              before each run, not measured  (2)
  --quick                 every scenario in its smallest form, one run of half a second: proves that
                          the runner works, says nothing about speed
  --markdown              tables as Markdown, each with the command that makes it
  --report                measures nothing: prints the tables of build/bench/*.json
  --into FILE             puts each table into a Markdown file, too: between <!-- bench NAME --> and
                          <!-- end -->, which stay
  --peers                 measure other systems beside ours, where their programs are installed;
                          says which are missing, installs nothing
  --keys-5m               keys: also 5,000,000 keys
  --tls                   streams: also over TLS
  --streams N             streams: how many are open at once  (5000)
  --kills N               failover: how many leaders are killed  (--runs)
  --soak MINUTES          run the soak, too, for that long
  --no-build              the programs are built (build/release/bin, or HOLDFAST_BIN)
  --keep                  keep the clusters' folders (in TMPDIR)
  --help
The load generator, the nodes, the edge and the mock share the machine: nothing else should run.
A run in which others took more than 5 % of the CPU is marked.
Exit status: 0 measured, 1 a scenario failed, 2 usage`;

export function options(names) {
    const types = {
        only: 'string', list: 'boolean', runs: 'string', seconds: 'string', warmup: 'string', quick: 'boolean',
        into: 'string', markdown: 'boolean', report: 'boolean', peers: 'boolean', 'keys-5m': 'boolean', tls: 'boolean',
        streams: 'string', kills: 'string', soak: 'string', 'no-build': 'boolean', keep: 'boolean', help: 'boolean',
    };
    let values;
    try {
        ({ values } = parseArgs({
            options: Object.fromEntries(Object.entries(types).map(([name, type]) =>
                [name, name === 'help' ? { type, short: 'h' } : { type }])),
        }));
    } catch (error) {
        usageError(error.message);
    }
    if (values.help) {
        console.log(HELP);
        process.exit(0);
    }
    const number = (name, otherwise, least = 0) => {
        const value = values[name] === undefined ? otherwise : Number(values[name]);
        if (!(value >= least)) {
            usageError(`--${name} wants a number from ${least} on`);
        }
        return value;
    };
    const quick = values.quick ?? false;
    const runs = number('runs', quick ? 1 : 5, 1);
    const chosen = values.only?.split(',') ?? names.filter((name) => name !== 'soak' || values.soak || quick);
    const unknown = chosen.find((name) => !names.includes(name));
    if (unknown !== undefined) {
        usageError(`no such scenario: ${unknown}`);
    }
    return {
        chosen, quick, runs,
        seconds: number('seconds', quick ? 0.5 : 8, 0.1),
        warmup: number('warmup', quick ? 0.2 : 2, 0.1),
        streams: number('streams', quick ? 50 : 5000, 1),
        kills: number('kills', runs, 1),
        soakMinutes: number('soak', quick ? 0.05 : 60, 0.01),
        into: values.into, list: values.list, markdown: values.markdown, report: values.report, peers: values.peers,
        keys5m: values['keys-5m'], tls: values.tls, keep: values.keep,
        commandFor: (name) => commandFor(values, types, name),
    };
}

/** What measures one scenario again, as it was measured. */
function commandFor(values, types, name) {
    const aside = ['only', 'markdown', 'into', 'no-build', 'keep'];
    const words = Object.entries(values).filter(([option]) => !aside.includes(option))
        .map(([option, value]) => (types[option] === 'boolean' ? `--${option}` : `--${option} ${value}`));
    return ['tests/bench/run', '--only', name, ...words].join(' ');
}

function usageError(message) {
    console.error(`tests/bench/run: ${message}\nTry 'tests/bench/run --help'.`);
    process.exit(2);
}
