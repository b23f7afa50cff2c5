import { type Html, html } from './html.ts';

type Cell = string | Html;

/** The first cell of a row, and of the heads, names it. */
interface Table {
  readonly caption: string;
  readonly heads: readonly string[];
  readonly rows: readonly (readonly [Cell, ...(readonly Cell[])])[];
}

export const tableOf = ({ caption, heads, rows }: Table): Html =>
  html`<table class="settings of-${heads.length}">
    <caption>
      ${caption}
    </caption>
    <thead>
      <tr>
        ${heads.map((head) => html`<th scope="col">${head}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        ([name, ...cells]) =>
          html`<tr>
            <th scope="row">${name}</th>
            ${cells.map((cell) => html`<td>${cell}</td>`)}
          </tr>`,
      )}
    </tbody>
  </table>`;
