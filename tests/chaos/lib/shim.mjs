// SPDX-License-Identifier: Apache-2.0
// A node's disk and clock in the test's hands: see ../shim.c.
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { program } from '../../e2e/lib/place.mjs';

export const ERRNO = { EIO: 5, ENOSPC: 28 };
const BYTES = 28;

export class Shim {
    constructor(folder, name) {
        this.file = join(folder, `${name}.shim`);
        writeFileSync(this.file, Buffer.alloc(BYTES));
        this.env = { LD_PRELOAD: program('holdfast-shim.so'), HOLDFAST_SHIM: this.file };
    }

    #put(bytes, at) {
        const fd = openSync(this.file, 'r+');
        writeSync(fd, bytes, 0, bytes.length, at);
        closeSync(fd);
    }

    clock(offsetMs) {
        const bytes = Buffer.alloc(8);
        bytes.writeBigInt64LE(BigInt(Math.round(offsetMs * 1000)));
        this.#put(bytes, 0);
    }

    #errno(code, at) {
        const bytes = Buffer.alloc(4);
        bytes.writeInt32LE(code);
        this.#put(bytes, at);
    }

    /** Every fsync, fdatasync and msync from now on; 0: they work again. */
    syncFails(code) {
        this.#errno(code, 8);
    }

    writeFails(code) {
        this.#errno(code, 12);
    }

    /** What the file system says is free. */
    free(bytes) {
        const value = Buffer.alloc(8);
        value.writeBigInt64LE(BigInt(bytes));
        this.#put(value, 16);
    }

    /** How much longer every flush takes. */
    flushSlower(us) {
        const value = Buffer.alloc(4);
        value.writeUInt32LE(us);
        this.#put(value, 24);
    }

    mend() {
        this.#put(Buffer.alloc(BYTES), 0);
    }
}
