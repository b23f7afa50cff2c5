/** A page as a tree, read as strictly as XML: what is not closed, quoted or escaped is an error, not guessed at. */
export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: (Element | string)[];
}

const token =
  /<style>[^<]*<\/style>|<(?<end>\/)?(?<name>[a-zA-Z][\w-]*)(?<attributes>(?:\s+[\w:-]+="[^"<]*")*)\s*(?<empty>\/)?>|[^<]+/y;
const entity = /&(?:amp|lt|gt|quot|#39);/g;
const characters: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
};

const unescaped = (text: string): string => {
  if (text.replace(entity, '').includes('&')) throw new Error(`a bare & in ${text}`);
  return text.replace(entity, (found) => characters[found] ?? '');
};

const attributesOf = (text: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...text.matchAll(/([\w:-]+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, unescaped(value)]),
  );

/** @throws Error where the document is not well-formed. */
export const parsePage = (page: string): Element => {
  const root: Element = { name: '', attributes: {}, children: [] };
  const open = [root];
  const source = page.replace(/^<!doctype html>\n/, '');
  token.lastIndex = 0;
  while (token.lastIndex < source.length) {
    const at = token.lastIndex;
    const found = token.exec(source);
    if (found === null) throw new Error(`not markup: ${source.slice(at, at + 80)}`);
    const { end, name, attributes = '', empty } = found.groups ?? {};
    if (name === undefined) open.at(-1)!.children.push(found[0].startsWith('<style>') ? '' : unescaped(found[0]));
    else if (end !== undefined) {
      if (open.pop()!.name !== name) throw new Error(`</${name}> closes nothing at ${at}`);
    } else {
      const element = { name, attributes: attributesOf(attributes), children: [] };
      open.at(-1)!.children.push(element);
      if (empty === undefined) open.push(element);
    }
  }
  if (open.length > 1) throw new Error(`<${open.at(-1)!.name}> is not closed`);
  return root;
};

/** All elements below that one, in the order of the document. */
export const elementsIn = (element: Element): readonly Element[] =>
  element.children.flatMap((child) => (typeof child === 'string' ? [] : [child, ...elementsIn(child)]));

/** The elements of a class: "limit", "held before". */
export const withClass = (element: Element, classes: string): readonly Element[] =>
  elementsIn(element).filter(({ attributes }) => {
    const own = (attributes['class'] ?? '').split(' ');
    return classes.split(' ').every((name) => own.includes(name));
  });

/** What is read there, with single spaces. */
export const textOf = (element: Element): string =>
  element.children
    .map((child) => (typeof child === 'string' ? child : textOf(child)))
    .join('')
    .replace(/\s+/g, ' ');
