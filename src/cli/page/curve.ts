import { numberText } from '../../planner/explain.ts';
import type { PhaseResult } from '../../prove/phase-run.ts';
import { type Html, html } from './html.ts';

/** Connections held after so many seconds. */
export interface Point {
  readonly seconds: number;
  readonly held: number;
}

/** A line of the chart, its samples from left to right. */
export interface Curve {
  readonly label: 'before' | 'planned';
  readonly points: readonly Point[];
}

/** The flows of a phase are opened one after the other: one curve of what the pod holds in all. */
export const pointsOf = ({ flows }: Pick<PhaseResult, 'flows'>): readonly Point[] => {
  let seconds = 0;
  let held = 0;
  return flows.flatMap((flow) => {
    const points = flow.curve.map((sample) => ({ seconds: seconds + sample.ms / 1000, held: held + sample.held }));
    seconds += flow.seconds;
    held += Math.min(flow.opened, flow.accepted);
    return points;
  });
};

/** Round steps of 1, 2, 2.5 or 5 × 10^n from 0 up to the first that is not below `most`; about `steps` of them. */
export const ticksUpTo = (most: number, steps: number): readonly number[] => {
  const rough = Math.max(most, Number.MIN_VALUE) / steps;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  return Array.from({ length: Math.ceil((most / step) * 0.999) + 1 }, (_, index) =>
    Number((index * step).toPrecision(3)),
  );
};

interface Axes {
  readonly seconds: readonly number[];
  readonly connections: readonly number[];
}

const axesFor = (curves: readonly Curve[], declared: number): Axes => {
  const points = curves.flatMap((curve) => curve.points);
  const longest = Math.max(0.1, ...points.map(({ seconds }) => seconds));
  return {
    seconds: ticksUpTo(longest, 5),
    connections: ticksUpTo(Math.max(declared, ...points.map(({ held }) => held)), 4),
  };
};

const percent = (value: number, ticks: readonly number[]): number =>
  (100 * value) / Math.max(Number.MIN_VALUE, ticks.at(-1) ?? 1);

const x = (seconds: number, axes: Axes): string => percent(seconds, axes.seconds).toFixed(2);
const y = (held: number, axes: Axes): string => (100 - percent(held, axes.connections)).toFixed(2);

const grid = (axes: Axes): Html =>
  html` ${axes.connections.map((tick) => html`<line class="grid" x1="0" x2="100%" y1="${y(tick, axes)}%" y2="${y(tick, axes)}%" /><text class="tick end" x="-8" y="${y(tick, axes)}%" dy="4">${numberText(tick)}</text>`)}
  ${axes.seconds.map((tick) => html`<text class="tick middle" x="${x(tick, axes)}%" y="100%" dy="18">${String(tick)}</text>`)}`;

/** Where it ended it stays: what is open is held. */
const line = ({ label, points }: Curve, axes: Axes): Html => {
  const last = points.at(-1) ?? { seconds: 0, held: 0 };
  const path = points.map(({ seconds, held }) => `${x(seconds, axes)},${y(held, axes)}`).join(' ');
  return html`<svg class="lines" width="100%" height="100%" viewBox="0 0 100 100" preserveAspectRatio="none">
      <polyline class="held ${label}" points="${path}" />
      <polyline
        class="stays ${label}"
        points="${x(last.seconds, axes)},${y(last.held, axes)} 100,${y(last.held, axes)}"
      />
    </svg>
    <circle class="${label}" cx="${x(last.seconds, axes)}%" cy="${y(last.held, axes)}%" r="4" />`;
};

const summaryOf = ({ label, points }: Curve): string => {
  const last = points.at(-1) ?? { seconds: 0, held: 0 };
  return `${label}: ${numberText(last.held)} connections after ${numberText(last.seconds)} s`;
};

const swatch = (label: Curve['label']): Html =>
  html`<svg class="swatch" width="28" height="10" aria-hidden="true" focusable="false">
    <line class="held ${label}" x1="1" x2="27" y1="5" y2="5" />
  </svg>`;

/** Connections held against time. All places are in percent, so it fits any width and its text keeps its size. */
export const curveFigure = (id: string, curves: readonly Curve[], declared: number): Html => {
  const axes = axesFor(curves, declared);
  const level = y(declared, axes);
  return html`<figure class="curve">
    <figcaption>${curves.map((curve) => html`<span>${swatch(curve.label)} ${summaryOf(curve)}</span>`)}</figcaption>
    <p class="axis">connections held by both sides</p>
    <svg class="chart" role="img" aria-labelledby="${id}-title ${id}-about">
      <title id="${id}-title">Connections held over time, before and as planned</title>
      <desc id="${id}-about">${curves.map(summaryOf).join('; ')}; ${numberText(declared)} are declared.</desc>
      ${grid(axes)}
      <line class="declared" x1="0" x2="100%" y1="${level}%" y2="${level}%" />
      <text class="tick" x="6" y="${level}%" dy="15">declared: ${numberText(declared)}</text>
      ${curves.map((curve) => line(curve, axes))}
    </svg>
    <p class="axis below">seconds</p>
  </figure>`;
};
