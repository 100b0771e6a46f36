// Enough of CSV for a preview: the service reads the file itself.

/** The first rows of a text: quotes may hold separators, quotes and ends of lines. */
export function firstRows(text, most, separator = ',') {
  const rows = [];
  let [row, cell, isQuoted] = [[], '', false];
  for (let at = 0; at < text.length && rows.length < most; at += 1) {
    const character = text[at];
    if (isQuoted) {
      if (character !== '"') cell += character;
      else if (text[at + 1] === '"') [cell, at] = [`${cell}"`, at + 1];
      else isQuoted = false;
    } else if (character === '"' && cell === '') isQuoted = true;
    else if (character === separator) [row, cell] = [[...row, cell], ''];
    else if (character === '\n') {
      rows.push([...row, cell.replace(/\r$/, '')]);
      [row, cell] = [[], ''];
    } else cell += character;
  }
  if ((cell || row.length) && rows.length < most) rows.push([...row, cell]);
  return rows.filter((cells) => cells.some((one) => one.trim()));
}

/** The separator that the first line has most of. */
export function separatorOf(text) {
  const line = text.slice(0, text.indexOf('\n') + 1 || undefined);
  const count = (one) => line.split(one).length;
  return [',', ';', '\t'].sort((a, b) => count(b) - count(a))[0];
}

/** `List Price`, `list_price` and `LIST-PRICE` are `listPrice`. */
export const plain = (name) => name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
