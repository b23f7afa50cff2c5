import type { Limit } from '../../planner/limit.ts';
import { type Html, html } from './html.ts';

/** What a bar shows: `lifted` is what the plan raises the capacity to. */
export interface Gauge extends Pick<Limit, 'capacity' | 'needed' | 'status'> {
  readonly lifted?: number | undefined;
}

/** Percent of the bar's width; what is more than nothing is seen. */
const percentOf = (part: number, whole: number): string =>
  `${part > 0 ? Math.max(0.6, (100 * part) / whole).toFixed(2) : 0}%`;

const known = ({ needed, capacity, lifted, status }: Gauge & { readonly capacity: number }): Html => {
  const there = lifted ?? (status === 'Binding' ? capacity : Math.max(capacity, needed));
  const whole = Math.max(1, needed, there);
  const fits = Math.min(needed, there);
  const at = (part: number): string => percentOf(part, whole);
  return html`<rect class="there" width="${at(there)}" height="100%" />
    <rect class="need" width="${at(fits)}" height="100%" />
    ${needed > there ? html`<rect class="excess" x="${at(there)}" width="${at(needed - there)}" height="100%" />` : undefined}
    ${there < needed || lifted !== undefined ? html`<rect class="mark" x="${at(capacity)}" width="2" height="100%" />` : undefined}`;
};

/**
 * Need against capacity: a light track is what is there, solid is what is needed of it, hatched what is missing; a mark is
 * what is there without us. Its figures stand beside it, so it is hidden from readers of the text.
 */
export const barFor = (gauge: Gauge): Html => {
  const { capacity, status } = gauge;
  const content =
    capacity === undefined
      ? html`<rect class="nobody-knows" width="100%" height="100%" />`
      : known({ ...gauge, capacity });
  return html`<svg class="bar ${status.toLowerCase()}" aria-hidden="true" focusable="false">${content}</svg>`;
};

/** What hatched bars are filled with; once in a document. */
export const hatching = html`<svg class="definitions" aria-hidden="true" focusable="false">
  <defs>
    <pattern id="missing" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
      <rect class="ground" width="6" height="6" />
      <rect class="stripe" width="3" height="6" />
    </pattern>
  </defs>
</svg>`;
