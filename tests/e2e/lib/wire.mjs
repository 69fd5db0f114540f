// SPDX-License-Identifier: Apache-2.0
// A node's client port spoken by hand: frames over TLS (proto/net/frame.h: 32-bit length, 32-bit tag,
// bytes), and as much canonical MessagePack as they need. For tests that do what no client of ours
// would.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import * as tls from 'node:tls';
import { within } from './wait.mjs';

export const REQUEST = { commands: 1, query: 2, status: 3 };
export const STATUS = { done: 0, bad_frame: 4, wrong_cluster: 5 };

// --- MessagePack: numbers, booleans, text, bytes, arrays ---

function head(short, shortMax, base, n) {
    if (n <= shortMax) {
        return Buffer.from([short | n]);
    }
    const wide = n > 0xffff;
    const bytes = Buffer.alloc(wide ? 5 : 3);
    bytes[0] = base + (wide ? 1 : 0);
    wide ? bytes.writeUInt32BE(n, 1) : bytes.writeUInt16BE(n, 1);
    return bytes;
}

function number(n) {
    if (n >= 0 && n < 128) {
        return Buffer.from([n]);
    }
    if (n < 0) {
        const bytes = Buffer.alloc(9, 0xd3);
        bytes.writeBigInt64BE(BigInt(n), 1);
        return n >= -32 ? Buffer.from([n & 0xff]) : bytes;
    }
    const size = n <= 0xff ? 1 : n <= 0xffff ? 2 : n <= 0xffffffff ? 4 : 8;
    const bytes = Buffer.alloc(1 + size, 0xcc + Math.log2(size));
    size === 8 ? bytes.writeBigUInt64BE(BigInt(n), 1) : bytes.writeUIntBE(n, 1, size);
    return bytes;
}

export function encode(value) {
    if (Array.isArray(value)) {
        return Buffer.concat([head(0x90, 15, 0xdc, value.length), ...value.map(encode)]);
    }
    if (Buffer.isBuffer(value)) {
        const n = value.length;
        return Buffer.concat([n <= 0xff ? Buffer.from([0xc4, n]) : head(0, -1, 0xc5, n), value]);
    }
    if (typeof value === 'string') {
        const text = Buffer.from(value);
        const n = text.length;
        const long = n > 31 && n <= 0xff ? Buffer.from([0xd9, n]) : head(0xa0, 31, 0xda, n);
        return Buffer.concat([long, text]);
    }
    return typeof value === 'boolean' ? Buffer.from([value ? 0xc3 : 0xc2]) : number(value);
}

/** [value, bytes used]. Numbers past 2^53 lose their low bits. */
function decodeAt(p, at) {
    const kind = p[at];
    const items = (n, from) => {
        const list = [];
        for (let i = 0; i < n; i++) {
            const [value, next] = decodeAt(p, from);
            list.push(value);
            from = next;
        }
        return [list, from];
    };
    const bytes = (n, from) => [p.subarray(from, from + n), from + n];
    const text = (n, from) => [p.toString('utf8', from, from + n), from + n];
    if (kind < 0x80) return [kind, at + 1];
    if (kind >= 0xe0) return [kind - 256, at + 1];
    if (kind >= 0x90 && kind < 0xa0) return items(kind & 15, at + 1);
    if (kind >= 0xa0 && kind < 0xc0) return text(kind & 31, at + 1);
    switch (kind) {
    case 0xc2: return [false, at + 1];
    case 0xc3: return [true, at + 1];
    case 0xc4: return bytes(p[at + 1], at + 2);
    case 0xc5: return bytes(p.readUInt16BE(at + 1), at + 3);
    case 0xc6: return bytes(p.readUInt32BE(at + 1), at + 5);
    case 0xcc: return [p[at + 1], at + 2];
    case 0xcd: return [p.readUInt16BE(at + 1), at + 3];
    case 0xce: return [p.readUInt32BE(at + 1), at + 5];
    case 0xcf: return [Number(p.readBigUInt64BE(at + 1)), at + 9];
    case 0xd0: return [p.readInt8(at + 1), at + 2];
    case 0xd1: return [p.readInt16BE(at + 1), at + 3];
    case 0xd2: return [p.readInt32BE(at + 1), at + 5];
    case 0xd3: return [Number(p.readBigInt64BE(at + 1)), at + 9];
    case 0xd9: return text(p[at + 1], at + 2);
    case 0xda: return text(p.readUInt16BE(at + 1), at + 3);
    case 0xdc: return items(p.readUInt16BE(at + 1), at + 3);
    case 0xdd: return items(p.readUInt32BE(at + 1), at + 5);
    default: throw new Error(`byte 0x${kind.toString(16)} in an answer`);
    }
}

export const decode = (bytes) => decodeAt(bytes, 0)[0];

// --- frames ---

export const NONE = Buffer.alloc(0);

export function uuid7() {
    const id = randomBytes(16);
    id.writeUIntBE(Date.now(), 0, 6);
    id[6] = 0x70 | (id[6] & 15);
    id[8] = 0x80 | (id[8] & 63);
    return id;
}

export const bytesOf = (uuid) => Buffer.from(uuid.replaceAll('-', ''), 'hex');

/** A request's bytes. items: encoded commands or one query. */
export function request(cluster, kind, items = []) {
    return encode([[1, bytesOf(cluster), 0, kind, false], items]);
}

/** An encoded command: head fields by name, body fields in their order. */
export function command(kind, body, { id = uuid7(), org = NONE, cred = NONE } = {}) {
    return encode([[kind, id, org, cred, NONE, 0], body]);
}

export const query = (kind, { org = NONE, cred = NONE, after = 0 } = {}) => encode([[kind, org, cred, after]]);

// --- connections ---

/** A TLS connection whose handshake both sides have accepted. */
export class Wire {
    constructor(socket) {
        this.socket = socket;
        this.bytes = Buffer.alloc(0);
        this.closed = new Promise((resolve) => socket.once('close', resolve));
        this.waiting = null;
        this.tag = 0;
        socket.on('error', () => {});
        socket.setNoDelay(true);
        socket.on('data', (bytes) => {
            this.bytes = Buffer.concat([this.bytes, bytes]);
            this.waiting?.();
        });
        socket.once('close', () => this.waiting?.());
    }

    /** Rejects if the other side will not have this certificate: TLS 1.2 says so before it is open. */
    static async open(port, { ca, cert, key, servername, checkName = true }) {
        const socket = tls.connect({
            host: '127.0.0.1', port, ca, cert, key, servername, maxVersion: 'TLSv1.2',
            ...(checkName ? {} : { checkServerIdentity: () => undefined }),
        });
        const wire = new Wire(socket);
        try {
            await within('a handshake', once(socket, 'secureConnect'), 10_000);
        } catch (error) {
            socket.destroy();
            throw error;
        }
        return wire;
    }

    async #take(n) {
        while (this.bytes.length < n) {
            if (this.socket.destroyed) {
                throw new Error('the connection was closed');
            }
            await within('bytes of the other side', new Promise((resolve) => {
                this.waiting = resolve;
            }), 10_000);
        }
        const taken = this.bytes.subarray(0, n);
        this.bytes = this.bytes.subarray(n);
        return taken;
    }

    /** Sends a frame's head and what is given of its bytes. */
    promise(length, piece = NONE) {
        const bytes = Buffer.alloc(8);
        bytes.writeUInt32BE(length);
        bytes.writeUInt32BE(++this.tag, 4);
        this.socket.write(Buffer.concat([bytes, piece]));
    }

    /** Sends a request without waiting; ask() waits for the reply: [reply_head, items]. */
    post(bytes) {
        this.promise(bytes.length, bytes);
    }

    async ask(bytes) {
        this.post(bytes);
        const head = await this.#take(8);
        assert.equal(head.readUInt32BE(4), this.tag);
        return decode(await this.#take(head.readUInt32BE()));
    }

    close() {
        this.socket.destroy();
        return this.closed;
    }
}
