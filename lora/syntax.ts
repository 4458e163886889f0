/** One `<kind:…>` tag of a prompt. */
export interface NetworkTag {
  /** `lora`, `lyco`, `hypernet`, or whatever word stands there; case as written. */
  kind: string;
  /** Items between colons that name nothing, in order: the network's name first. */
  args: string[];
  /** Items with exactly one `=`; a key written twice keeps its last value. */
  named: Map<string, string>;
}

const WORD_CHARACTER = /[\p{L}\p{N}_]/u;

/**
 * Takes the extra-network tags out of a prompt: `<word:item:item…>`, known words or not.
 *
 * Never throws. One pass: each `<` is looked at once, and once no `>` is left the rest is text.
 *
 * @returns the text without the tags, nothing else changed, and the tags in order
 */
export function extractNetworkTags(prompt: string): { text: string; tags: NetworkTag[] } {
  const tags: NetworkTag[] = [];
  let text = '';
  let copied = 0;
  let open = prompt.indexOf('<');
  while (open >= 0) {
    const colon = endOfWord(prompt, open + 1);
    let next = open + 1;
    if (colon > open + 1 && prompt[colon] === ':' && prompt[colon + 1] !== '>') {
      const close = prompt.indexOf('>', colon + 1);
      if (close < 0) break;
      const items = prompt.slice(colon + 1, close).split(':');
      tags.push(readItems(prompt.slice(open + 1, colon), items));
      text += prompt.slice(copied, open);
      copied = close + 1;
      next = copied;
    }
    open = prompt.indexOf('<', next);
  }
  return { text: text + prompt.slice(copied), tags };
}

/** Index after the word characters that begin at `start`. */
function endOfWord(text: string, start: number): number {
  let i = start;
  for (;;) {
    const code = text.codePointAt(i);
    if (code === undefined) return i;
    const char = String.fromCodePoint(code);
    if (!WORD_CHARACTER.test(char)) return i;
    i += char.length;
  }
}

function readItems(kind: string, items: string[]): NetworkTag {
  const args: string[] = [];
  const named = new Map<string, string>();
  for (const item of items) {
    const parts = item.split('=');
    if (parts.length === 2) named.set(parts[0]!, parts[1]!);
    else args.push(item);
  }
  return { kind, args, named };
}
