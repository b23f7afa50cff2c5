/** One series: its labels as `labelText` wrote them ("" for none), and its value. */
export type TableRow = readonly [labels: string, value: number];

/** `{namespace="messaging",budget="gateway"}`. Written once for a series, not at each scrape. */
export function labelText(labels: Readonly<Record<string, string>>): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',')}}`;
}

/** As the text format wants it in label values. */
const escaped = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

interface Table {
  readonly name: string;
  readonly help: string;
}

/** A gauge in the Prometheus text format. */
export function tableText({ name, help }: Table, rows: Iterable<TableRow>): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`];
  for (const [labels, value] of rows) lines.push(`${name}${labels} ${value}`);
  return `${lines.join('\n')}\n`;
}
