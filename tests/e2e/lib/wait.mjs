// SPDX-License-Identifier: Apache-2.0
// Waiting for conditions. Tests never wait for time: they ask again until a deadline, and the
// error says what was waited for and what the last answer was.
import { setTimeout as pause } from 'node:timers/promises';

export const DEADLINE_MS = 30_000;

/**
 * Asks `condition` until it returns something truthy, and returns that. An exception it throws is
 * an answer like any other: not yet.
 * @param {string} what for the error: "node 2 to be leader"
 * @param {() => any} condition may be async
 */
export async function until(what, condition, { deadlineMs = DEADLINE_MS, everyMs = 20 } = {}) {
    const end = performance.now() + deadlineMs;
    let last;
    for (;;) {
        try {
            last = await condition();
            if (last) {
                return last;
            }
        } catch (error) {
            last = error;
        }
        if (performance.now() >= end) {
            const answer = last instanceof Error ? last.message : JSON.stringify(last);
            throw new Error(`waited ${deadlineMs} ms for ${what}; the last answer was: ${answer}`);
        }
        await pause(everyMs);
    }
}

/** A promise's result, or an error naming what it was for once the deadline has passed. */
export async function within(what, promise, deadlineMs = DEADLINE_MS) {
    const end = new AbortController();
    try {
        return await Promise.race([
            promise,
            pause(deadlineMs, undefined, { signal: end.signal }).then(() => {
                throw new Error(`waited ${deadlineMs} ms for ${what}`);
            }),
        ]);
    } finally {
        end.abort();
    }
}
