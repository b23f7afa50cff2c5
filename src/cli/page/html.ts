/** Markup that is safe to write. `html` makes it, and escapes everything that is not markup already. */
export interface Html {
  readonly markup: string;
}

type Content = string | number | Html | readonly Html[] | undefined;

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For text and for attributes in double quotes. What no document may hold, a control character, becomes U+FFFD. */
const escaped = (text: string): string =>
  text
    .toWellFormed()
    .replace(/[&<>"']/g, (character) => entities[character] ?? '')
    .replace(/[^\P{Cc}\t\n]/gu, '\u{FFFD}');

const markupOf = (content: Content): string => {
  if (content === undefined) return '';
  if (typeof content === 'string' || typeof content === 'number') return escaped(String(content));
  return 'markup' in content ? content.markup : content.map(({ markup }) => markup).join('');
};

/** A template of markup: what is interpolated is escaped, unless it is markup itself; undefined is nothing. */
export const html = (parts: TemplateStringsArray, ...contents: readonly Content[]): Html => ({
  markup: parts.map((part, index) => part + markupOf(contents[index])).join(''),
});

/** A name of the kernel's or a user's: a line may break after a dot or underscore of it. */
export const codeFor = (name: string): Html => {
  const parts = name.split(/(?<=[._])/);
  return html`<code>${parts.map((part, index) => (index === 0 ? html`${part}` : html`<wbr />${part}`))}</code>`;
};
