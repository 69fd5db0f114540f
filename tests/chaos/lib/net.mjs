// SPDX-License-Identifier: Apache-2.0
// Every ledger node in a network namespace of its own, on a bridge that the test makes and takes away.
// Two nodes are parted by routes into nowhere, so no packet filter is needed.
import { spawnSync } from 'node:child_process';

const ip = (...args) => {
    const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
    if (status !== 0) {
        throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}`);
    }
};
const tryIp = (...args) => spawnSync('ip', args).status === 0;

export class Net {
    constructor(count) {
        this.tag = `hf${process.pid % 100000}`;
        this.base = `10.${200 + (process.pid % 50)}.${(process.pid >> 6) % 250}`;
        this.count = count;
    }

    name(n) {
        return `${this.tag}n${n}`;
    }

    address(n) {
        return `${this.base}.${10 + n}`;
    }

    /** Null, or why this machine does not let us. */
    static refusal() {
        const name = `hf${process.pid}probe`;
        const made = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
        if (made.status !== 0) {
            return `no network namespaces here: ${(made.stderr ?? made.error?.message ?? '').trim()}`;
        }
        tryIp('netns', 'del', name);
        return null;
    }

    open() {
        const bridge = `${this.tag}b`;
        ip('link', 'add', bridge, 'type', 'bridge');
        ip('addr', 'add', `${this.base}.1/24`, 'dev', bridge);
        ip('link', 'set', bridge, 'up');
        for (let n = 1; n <= this.count; n++) {
            ip('netns', 'add', this.name(n));
            ip('link', 'add', `${this.tag}v${n}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.name(n));
            ip('link', 'set', `${this.tag}v${n}`, 'master', bridge, 'up');
            ip('-n', this.name(n), 'addr', 'add', `${this.address(n)}/24`, 'dev', 'eth0');
            ip('-n', this.name(n), 'link', 'set', 'eth0', 'up');
            ip('-n', this.name(n), 'link', 'set', 'lo', 'up');
        }
    }

    close() {
        for (let n = 1; n <= this.count; n++) {
            tryIp('netns', 'del', this.name(n)); // its end of the pair goes, and so does ours
        }
        tryIp('link', 'del', `${this.tag}b`);
    }

    /** Nothing of a reaches b: what b sends arrives, and is never answered. */
    cut(a, b) {
        ip('-n', this.name(a), 'route', 'add', 'blackhole', `${this.address(b)}/32`);
    }

    join(a, b) {
        tryIp('-n', this.name(a), 'route', 'del', 'blackhole', `${this.address(b)}/32`);
    }

    /** Off the network altogether, also for edges and tools; or back. */
    link(n, up) {
        ip('link', 'set', `${this.tag}v${n}`, up ? 'up' : 'down');
    }

    heal() {
        for (let a = 1; a <= this.count; a++) {
            this.link(a, true);
            for (let b = 1; b <= this.count; b++) {
                this.join(a, b);
            }
        }
    }

    /** Null, or why no delay can be put on a link here. */
    delay(n, ms) {
        const { status, stderr } = spawnSync('tc', ['qdisc', 'replace', 'dev', `${this.tag}v${n}`, 'root', 'netem',
            'delay', `${ms}ms`, `${Math.ceil(ms / 2)}ms`], { encoding: 'utf8' });
        return status === 0 ? null : `no delay here: ${(stderr ?? 'no tc').trim()}`;
    }
}
