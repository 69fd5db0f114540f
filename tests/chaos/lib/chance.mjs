// SPDX-License-Identifier: Apache-2.0
// Numbers drawn from a seed, so that an order of events can be had again (not its timing).
import { randomInt } from 'node:crypto';

export function chance(seed = randomInt(2 ** 31)) {
    let state = Number(seed) >>> 0;
    /** 0 .. n - 1, by mulberry32. */
    const below = (n) => {
        state = (state + 0x6d2b79f5) >>> 0;
        let x = Math.imul(state ^ (state >>> 15), state | 1);
        x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
        return ((x ^ (x >>> 14)) >>> 0) % n;
    };
    const of = (list) => list[below(list.length)];
    const some = (list, count) => {
        const left = [...list];
        return Array.from({ length: count }, () => left.splice(below(left.length), 1)[0]);
    };
    return { seed: Number(seed), below, of, some };
}
