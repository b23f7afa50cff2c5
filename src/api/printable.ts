/**
 * A text of somebody else's for a message: what a terminal would obey, or what would turn the direction of the words around
 * it, is written as its number. "a\n\u001b[2J" is shown as `a\u{a}\u{1b}[2J`.
 */
export const printable = (text: string): string =>
  text
    .toWellFormed()
    .replaceAll(
      /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu,
      (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
    );

/** The same for a text of several lines, which stay lines. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');
