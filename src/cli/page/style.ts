import type { Html } from './html.ts';

/** Light and dark, wide, narrow and printed. Text has a contrast of at least 4.5 to what is below it. */
export const style: Html = {
  markup: `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --raised-ground: #f5f6f8; --line: #d5d9df; --text: #1a1f26; --quiet: #57606a; --track: #e3e6ea;
  --sufficient: #1d6b3a; --raised: #0b5cad; --binding: #b3261e; --unknown: #57606a; --binding-ground: #fdf2f1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #10141a; --raised-ground: #181d25; --line: #323a45; --text: #e4e8ee; --quiet: #9ba6b3; --track: #2b323c;
    --sufficient: #77c894; --raised: #79b8f5; --binding: #ff8f86; --unknown: #9ba6b3; --binding-ground: #261719;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px; max-width: 1180px; background: var(--ground); color: var(--text);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; overflow-wrap: anywhere; }
code { font: 0.93em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
h1 { margin: 0 0 8px; font-size: 14px; font-weight: 600; color: var(--quiet); }
h2 { margin: 0 0 12px; font-size: 24px; line-height: 1.25; }
h3, caption { margin: 28px 0 8px; font-size: 15px; font-weight: 600; text-align: left; }
caption { padding-top: 28px; padding-bottom: 8px; margin: 0; }
p, dl, dd, figure { margin: 0; }
a { color: inherit; text-underline-offset: 2px; }
article + article { margin-top: 56px; padding-top: 32px; border-top: 1px solid var(--line); }
nav ul { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 0 0 16px; padding: 0; list-style: none; }
.quiet, .where, .others, .reckoning, figcaption { color: var(--quiet); }
.pill { display: inline-block; padding: 0 7px; border: 1px solid currentColor; border-radius: 9px; font-size: 12px;
  line-height: 17px; font-weight: 600; white-space: nowrap; vertical-align: middle; }
.pill.sufficient { color: var(--sufficient); } .pill.raised { color: var(--raised); }
.pill.unknown { color: var(--unknown); border-style: dashed; }
.pill.binding { color: var(--ground); background: var(--binding); border-color: var(--binding); }
mark { background: none; color: var(--binding); font-weight: 600; white-space: nowrap; }

.bar { display: block; width: 100%; height: 10px; color: var(--unknown); }
.bar.sufficient { color: var(--sufficient); } .bar.raised { color: var(--raised); } .bar.binding { color: var(--binding); }
.bar .there { fill: var(--track); } .bar .need { fill: currentColor; } .bar .excess { fill: url(#missing); }
.bar .mark { fill: var(--text); }
.bar .nobody-knows { fill: none; stroke: var(--unknown); stroke-width: 2; stroke-dasharray: 3 3; }
.definitions { position: absolute; width: 0; height: 0; }
.ground { fill: var(--ground); } .stripe { fill: var(--binding); }

.sum dl { display: flex; flex-wrap: wrap; gap: 4px 40px; margin-bottom: 8px; }
.sum dt { color: var(--quiet); } .sum dd { font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
.sum .bar { height: 14px; margin-bottom: 6px; }
.binds { margin-top: 16px; padding: 12px 16px; background: var(--binding-ground); border-left: 4px solid var(--binding); }
.binds div { display: grid; grid-template-columns: 76px 1fr; } .binds dt { font-weight: 600; color: var(--binding); }
.binds div + div { margin-top: 6px; }

.flow { margin-top: 16px; } .flow figcaption b { color: var(--text); }
.flow ol { display: flex; gap: 22px; margin: 6px 0 0; padding: 0; list-style: none; }
.flow li { position: relative; flex: 1 1 0; min-width: 0; padding: 8px; border: 1px solid var(--line); border-top: 3px solid var(--line);
  border-radius: 3px; background: var(--raised-ground); font-size: 12px; }
.flow li.binding { border-color: var(--binding); } .flow li.first { outline: 2px solid var(--binding); } .flow li.raised { border-top-color: var(--raised); }
.flow li.sufficient { border-top-color: var(--sufficient); } .flow li.unknown { border-top-style: dashed; border-top-color: var(--unknown); }
.flow li + li::before { position: absolute; left: -19px; top: 50%; translate: 0 -50%; content: "→"; content: "→" / ""; font-size: 15px; color: var(--quiet); }
.flow.inbound li + li::before { content: "←"; content: "←" / ""; }
.flow .place b { font-size: 13px; } .flow .pill { display: table; margin-top: 4px; font-size: 11px; line-height: 15px; }
.flow .bar { margin: 6px 0 4px; height: 8px; }

.phase { display: grid; grid-template-columns: 88px 1fr; margin-top: 16px; } .phase h3 { margin: 8px 0 0; } .phase p { grid-column: 2; }
.bar.reach { height: 14px; margin-top: 12px; margin-bottom: 6px; overflow: visible; }
.bar.reach.before { color: var(--unknown); } .bar.reach.planned { color: var(--raised); } .predicted { fill: var(--text); }
.curve { margin: 28px 0 16px; } .curve figcaption { display: flex; flex-wrap: wrap; gap: 2px 28px; color: var(--text); }
.swatch { vertical-align: middle; } .axis { color: var(--quiet); font-size: 12px; margin-top: 8px; } .axis.below { margin: 24px 12px 0 0; text-align: right; }
.chart { display: block; overflow: visible; width: calc(100% - 76px); height: 260px; margin: 8px 12px 0 64px; }
.chart .grid { stroke: var(--line); } .chart .declared { stroke: var(--quiet); stroke-dasharray: 6 4; }
.chart text { paint-order: stroke; stroke: var(--ground); stroke-width: 4px; stroke-linejoin: round; font-size: 12px; fill: var(--quiet); font-variant-numeric: tabular-nums; } .end { text-anchor: end; } .middle { text-anchor: middle; }
.lines { overflow: visible; } .held, .stays { fill: none; stroke-width: 2.5; vector-effect: non-scaling-stroke; }
.held.before { stroke: var(--unknown); stroke-dasharray: 5 3; } .held.planned { stroke: var(--raised); }
.stays { stroke-width: 1; stroke-dasharray: 2 4; } .stays.before { stroke: var(--unknown); } .stays.planned { stroke: var(--raised); }
circle.before { fill: var(--unknown); } circle.planned { fill: var(--raised); }
.part { margin-top: 40px; padding-top: 16px; border-top: 1px solid var(--line); font-size: 18px; }

table { width: 100%; border-collapse: collapse; }
th, td { padding: 7px 16px 7px 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line); font-weight: 400; }
thead th { color: var(--quiet); font-size: 12px; border-top: 0; }
.settings { table-layout: fixed; } .settings thead th:first-child { width: 38%; }
.settings.of-2 thead th:first-child { width: 60%; } .settings td, .figures { font-variant-numeric: tabular-nums; }
.limits { table-layout: fixed; } .limits thead th:nth-child(1) { width: 25%; } .limits thead th:nth-child(2) { width: 25%; }
.limits thead th:nth-child(3) { width: 104px; }
.stage th { padding: 10px 0 0; font-size: 12px; font-weight: 600; color: var(--quiet); } .stage + tr > * { border-top: 0; padding-top: 3px; }
.stage + .binds-first > * { padding-top: 7px; }
.where { display: block; font-size: 12.5px; } .limits .figures { display: block; margin-top: 3px; }
.limits .bar { margin-top: 4px; } .limits b { font-weight: 600; }
.limit:target { outline: 2px solid var(--raised); outline-offset: 2px; }
.binds-first { background: var(--binding-ground); } .binds-first th { box-shadow: inset 4px 0 var(--binding); padding-left: 12px; }
.reckoning { font-size: 13px; } .after { padding: 7px 0; border-top: 1px solid var(--line); }
.lift { color: var(--text); margin-top: 3px; }
.beside { display: grid; grid-template-columns: 1fr 1fr; gap: 0 40px; }

@media screen and (max-width: 1080px) {
  .flow ol { flex-direction: column; gap: 20px; } .flow li + li::before { left: 12px; top: -20px; translate: 0; content: "↓"; content: "↓" / ""; }
  .flow.inbound li + li::before { content: "↑"; content: "↑" / ""; } .flow .pill { display: inline-block; margin: 0 0 0 4px; }
}
@media screen and (max-width: 820px) {
  body { padding: 16px; font-size: 13.5px; } h2 { font-size: 20px; } .beside { display: block; }
  .limits, .limits tbody { display: block; } .limits thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  .limits tr { display: grid; grid-template-columns: 1fr auto; gap: 4px 12px; padding: 8px 0; border-top: 1px solid var(--line); }
  .limits th, .limits td { padding: 0; border: 0; } .limits caption { display: block; }
  .limits .gauge, .limits .reckoning { grid-column: 1 / -1; } .limits .verdict { grid-row: 1; grid-column: 2; text-align: right; }
  .limits tr.stage { padding: 14px 0 4px; border-top-width: 2px; } .limits .verdict mark { display: block; }
  .limits .binds-first { padding: 8px; border-left: 4px solid var(--binding); } .limits .binds-first th { box-shadow: none; }
  .binds div, .phase { display: block; } .settings th, .settings td { padding-right: 10px; }
}
@media print {
  :root { color-scheme: light; } body { max-width: none; padding: 0; zoom: 0.62; }
  .bar, .pill, .binds, .binds-first { print-color-adjust: exact; } tr, .flow li, figure { break-inside: avoid; }
  article + article { break-before: page; }
}
`,
};
