import { hatching } from './bar.ts';
import { type Html, html } from './html.ts';
import { style } from './style.ts';

export interface Page {
  readonly title: string;
  /** One for each budget; its id is budget-1, budget-2, …. */
  readonly articles: readonly Html[];
  readonly names: readonly string[];
}

const contents = (names: readonly string[]): Html | undefined =>
  names.length < 2
    ? undefined
    : html`<nav aria-label="Budgets">
        <ul>
          ${names.map((name, index) => html`<li><a href="#budget-${index + 1}">${name}</a></li>`)}
        </ul>
      </nav>`;

/** A whole document in one string: nothing is fetched, nothing runs, and the policy in it says so to the browser. */
export const pageFor = ({ title, articles, names }: Page): string => {
  const page = html`<html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
      <title>${title}: ${names.join(', ')}</title>
      <style>
        ${style}
      </style>
    </head>
    <body>
      ${hatching}
      <header>
        <h1>${title}</h1>
        ${contents(names)}
      </header>
      <main>${articles}</main>
    </body>
  </html>`;
  return `<!doctype html>\n${page.markup}\n`;
};
