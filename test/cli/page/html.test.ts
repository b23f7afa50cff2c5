import fc from 'fast-check';
import { expect, it } from 'vitest';
import { codeFor, html } from '../../../src/cli/page/html.ts';
import { elementsIn, parsePage, textOf } from './markup.ts';

// No control characters: they become U+FFFD. No runs of spaces: a reader sees one.
const anyText = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('<', '>', '&', '"', "'", ';', '=', '/', 'lt') }),
  )
  .map((text) => text.replace(/[\p{Cc}\p{Cs}\s]+/gu, 'x'));

it('whatever stands in text or an attribute is read as it was, and adds no element', () => {
  fc.assert(
    fc.property(anyText, anyText, (text, attribute) => {
      const page = parsePage(html`<p title="${attribute}">${text}</p>`.markup);
      const [paragraph, ...others] = elementsIn(page);
      expect(paragraph?.attributes['title']).toBe(attribute);
      expect(textOf(page)).toBe(text);
      expect(others).toEqual([]);
    }),
  );
});

it('markup within markup stays markup, of lists too, and undefined is nothing', () => {
  const items = ['a', '<b>'].map((item) => html`<i>${item}</i>`);
  expect(html`<b>${items}${undefined}</b>${5}`.markup).toBe('<b><i>a</i><i>&lt;b&gt;</i></b>5');
});

it.each([
  { text: 'a\0b\u001Bc', read: 'a\u{FFFD}b\u{FFFD}c' },
  { text: 'lone \uD800', read: 'lone \u{FFFD}' },
])('what no document may hold becomes U+FFFD: %j', ({ text, read }) => {
  expect(html`${text}`.markup).toBe(read);
});

it('a long name may break after its dots and underscores', () => {
  expect(codeFor('a.b_c<').markup).toBe('<code>a.<wbr />b_<wbr />c&lt;</code>');
});
