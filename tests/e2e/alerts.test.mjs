// SPDX-License-Identifier: Apache-2.0
// F48: the alert rules fire on a follower that does not get on while the cluster does, and on nothing
// else. Figures are made up here, minute by minute; promtool judges.
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { root, temporary } from './lib/place.mjs';

const promtool = [join(root, 'build/tools/promtool/usr/bin/promtool'), '/usr/bin/promtool'].find(existsSync);
const skip = !promtool && 'no promtool: run tools/setup --tests';
const rules = join(root, 'tools/packaging/holdfast-alerts.yml');
const node = (n) => ({ job: 'holdfast-ledger', instance: `ledger-${n}` });

/** series: [name, labels, values every 15 s]; alerts: {rule: labels of those that fire at 6 minutes}. */
function judge(t, series, alerts) {
    const file = join(temporary(t), 'rules.json'); // JSON is YAML
    const text = (labels) => Object.entries(labels).map(([key, value]) => `${key}="${value}"`).join(',');
    writeFileSync(file, JSON.stringify({
        rule_files: [rules],
        evaluation_interval: '15s',
        tests: [{
            interval: '15s',
            input_series: series.map(([name, labels, values]) => ({ series: `${name}{${text(labels)}}`, values })),
            alert_rule_test: Object.entries(alerts).map(([alertname, expected]) => ({
                alertname,
                eval_time: '6m',
                exp_alerts: expected.map(({ exp_labels, summary }) => ({
                    exp_labels: { severity: 'warning', ...exp_labels }, exp_annotations: { summary },
                })),
            })),
        }],
    }));
    execFileSync(promtool, ['test', 'rules', file], { stdio: 'pipe' });
}

const commits = [1, 2, 3].map((n) => ['holdfast_ledger_commit_index', node(n), '1000+1x40']);
const applies = (n, values) => ['holdfast_ledger_applied_index', node(n), values];

test('F48_a_follower_that_gets_nothing_raises_an_alert_though_it_lacks_few_entries', { skip }, (t) => {
    judge(t, [
        ...commits.slice(0, 2), ['holdfast_ledger_commit_index', node(3), '1000x40'],
        applies(1, '1000+1x40'), applies(2, '1000+1x40'), applies(3, '1000x40'),
        ['holdfast_ledger_peer_stuck_seconds', { ...node(1), peer: '2' }, '0x40'],
        ['holdfast_ledger_peer_stuck_seconds', { ...node(1), peer: '3' }, '0+15x40'],
    ], {
        HoldfastPeerStuck: [{ exp_labels: { ...node(1), peer: '3' },
            summary: 'Node 3 lacks committed entries and has stored none for 360 s' }],
        HoldfastNodeStuck: [{ exp_labels: node(3),
            summary: 'Node ledger-3 has applied nothing for two minutes, while others have' }],
    });
});

test('F48_followers_that_get_on_and_idle_nights_raise_none', { skip }, (t) => {
    judge(t, [
        ...commits, applies(1, '1000+1x40'), applies(2, '999+1x40'), applies(3, '0+600x40'),
        ['holdfast_ledger_peer_stuck_seconds', { ...node(1), peer: '3' }, '0 1 0 2 20 0 1x34'],
    ], { HoldfastPeerStuck: [], HoldfastNodeStuck: [] });
    judge(t, [1, 2, 3].flatMap((n) => [['holdfast_ledger_commit_index', node(n), '1000x40'], applies(n, '1000x40')]),
        { HoldfastNodeStuck: [] });
});
