// SPDX-License-Identifier: Apache-2.0
// Figures of several runs as tables. A result of a scenario is
//   {name, title, about, columns: [{key, head, digits, single}], rows: [{name, runs: [{key: number}]}],
//    notes: [], verdicts: [{goal, measured, met}]}
// single: one figure for the row (the median), without its range.

export function summary(values) {
    const sorted = values.filter((value) => Number.isFinite(value)).sort((a, b) => a - b);
    if (sorted.length === 0) {
        return null;
    }
    const middle = sorted.length / 2;
    const median = sorted.length % 2 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
    return { median, min: sorted[0], max: sorted.at(-1), runs: sorted.length };
}

export const median = (values) => summary(values)?.median ?? NaN;

/** Of one column of a row. */
export const of = (row, key) => summary(row.runs.map((run) => run[key]));

export function figure(value, digits = 0) {
    const [whole, part] = value.toFixed(digits).split('.');
    return whole.replace(/\B(?=(\d{3})+$)/g, ',') + (part ? `.${part}` : '');
}

function cell(row, { key, digits = 0, single }) {
    const found = of(row, key);
    if (!found) {
        return '–';
    }
    const middle = figure(found.median, digits);
    return single || found.runs < 2 ? middle : `${middle} (${figure(found.min, digits)} to ${figure(found.max, digits)})`;
}

function cells(result) {
    return [['', ...result.columns.map((column) => column.head)],
        ...result.rows.map((row) => [row.name, ...result.columns.map((column) => cell(row, column))])];
}

function tail(result, mark) {
    const lines = result.notes.map((note) => `${mark}${note}`);
    for (const { goal, measured, met } of result.verdicts) {
        lines.push(`${mark}${met ? 'met' : 'NOT met'}: ${goal}; measured ${measured}`);
    }
    return lines;
}

export function plain(result) {
    const lines = cells(result);
    const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
    const text = lines.map((line) => line.map((value, column) =>
        (column ? value.padStart(widths[column]) : value.padEnd(widths[column]))).join('  '));
    return [`== ${result.name}: ${result.title}`, ...text, ...tail(result, '  ')].join('\n');
}

export function markdown(result) {
    const [head, ...lines] = cells(result).map((line) => `| ${line.join(' | ')} |`);
    const text = [`### ${result.title}`, '', `\`${result.command}\``, '', head.replace('|  |', '| |'),
        `|${'---|'.repeat(result.columns.length + 1)}`, ...lines];
    const more = tail(result, '- ');
    return [...text, ...(more.length ? ['', ...more] : [])].join('\n');
}

export function heading(result) {
    const { machine, versions, settings, when } = result;
    return `${machine.cpu}, ${machine.cores} cores, ${machine.memory_gib} GiB, Linux ${machine.kernel}, ${machine.filesystem}; `
        + `holdfast ${versions.holdfast}, ${versions.compiler}; ${when.slice(0, 10)}; `
        + `${settings.runs} runs of ${settings.seconds} s after ${settings.warmup} s; median (min to max)`;
}
