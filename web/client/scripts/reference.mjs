// Writes docs/reference/javascript.md from the types of this package: `node scripts/reference.mjs`. A test fails when the two differ.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('..', import.meta.url));
export const TARGET = fileURLToPath(new URL('../../../docs/reference/javascript.md', import.meta.url));

const ENTRIES = [
  ['porchlight', 'index.d.ts'],
  ['porchlight/react', 'react/index.d.ts'],
  ['porchlight/react-query', 'react_query.d.ts'],
  ['porchlight/testing', 'testing/index.d.ts'],
];
/** Everything else is made by functions. */
const CONSTRUCTED = new Set(['Store', 'PorchlightError', 'FakeService', 'FakeClock']);
/** What the parts of the client use of each other, and applications do not. */
const HIDDEN = {
  Client: ['part', 'hasPart', 'endPart', 'setFence', 'streamStart', 'tokens', 'events'],
  Live: ['context', 'store', 'generation', 'isActive', 'isLoaded', 'at', 'buffer', 'start', 'stop', 'streamStarted', 'take', 'hold', 'loaded', 'drain'],
  Collection: ['query', 'stop', 'acknowledge', 'pendingChanged'],
  LiveRecord: ['query', 'acknowledge', 'pendingChanged'],
  Feed: ['change', 'page'],
  Writes: ['store', 'add', 'open', 'showStorage', 'settle', 'move', 'stop'],
  Presence: ['store'],
  RecordLock: ['store'],
  Faults: ['take'],
  FakeService: ['part'],
  FakeLog: ['append', 'resume', 'horizon', 'at'],
  FakeStreams: ['deliver', 'deliverEphemeral', 'stream', 'history', 'open'],
};
const HEAD = `# The JavaScript client: reference

Generated from the types of \`web/client\` by \`node scripts/reference.mjs\` there; do not edit it. [The README](../../web/client/README.md) explains
the parts. Types of events (\`EventOf\`, \`Task\`, \`Notification\`, \`Lock\`) are in [events.md](events.md) and in \`web/client/src/events.d.ts\`.
`;

// ---- declarations

/** Divides a text into statements: each ends with \`;\`, or with the body of a class. */
function* statements(text) {
  let [depth, from, doc, at] = [0, 0, '', 0];
  while (at < text.length) {
    const two = text.slice(at, at + 2);
    if (two === '/*') {
      const end = text.indexOf('*/', at) + 2;
      if (depth === 0 && !text.slice(from, at).trim()) [doc, from] = [text.slice(at, end), end];
      at = end;
      continue;
    }
    const character = text[at];
    if (character === "'" || character === '"') at = text.indexOf(character, at + 1);
    else if ('{(['.includes(character)) depth += 1;
    else if ('})]'.includes(character)) depth -= 1;
    at += 1;
    const isBody = character === '}' && depth === 0 && /^(export )?(declare )?(abstract )?(class|interface) /.test(text.slice(from, at).trim());
    if (depth === 0 && (character === ';' || isBody)) {
      yield { doc, text: text.slice(from, at).trim() };
      [doc, from] = ['', at];
    }
  }
}

class Declarations {
  #files = new Map();

  constructor(directory) {
    this.directory = directory;
  }

  file(path) {
    if (!this.#files.has(path)) this.#files.set(path, this.#read(path));
    return this.#files.get(path);
  }

  #read(path) {
    const text = readFileSync(path, 'utf8');
    const own = new Map();
    const elsewhere = new Map();
    for (const { doc, text: statement } of statements(text)) {
      const listed = statement.match(/^(?:import|export)(?: type)? \{([^}]*)\}(?: from ['"](.*)['"])?;$/);
      if (listed?.[2]) for (const name of listed[1].split(',')) elsewhere.set(name.trim(), [listed[2], name.trim()]);
      const alias = statement.match(/^export type (\w+)(?:<[^=]*>)? = import\(['"](.*)['"]\)\.(\w+)(?:<\w+>)?;$/);
      if (alias) elsewhere.set(alias[1], [alias[2], alias[3]]);
      const named = statement.match(/^(?:export )?(?:declare )?(?:abstract )?(class|function|const|type|interface) (\w+)/);
      if (named && !alias) own.set(named[2], { kind: named[1], name: named[2], doc, text: statement, path });
    }
    // What a typedef says stands in the comment that it was written in.
    for (const [comment] of text.matchAll(/\/\*\*(?:(?!\*\/)[^])*@typedef(?:(?!\*\/)[^])*\*\//g)) {
      const { summary, tags } = read(comment);
      const said = tags.find(([tag]) => tag === 'typedef')?.[1] ?? '';
      const [name, ...rest] = withoutType(said).split(' ');
      const declared = own.get(name);
      if (declared) declared.doc = `/** ${summary || rest.join(' ')} */`;
    }
    return { own, elsewhere };
  }

  find(path, name) {
    const { own, elsewhere } = this.file(path);
    if (own.has(name)) return own.get(name);
    const [from, as] = elsewhere.get(name) ?? [];
    if (!from?.startsWith('.')) return null;
    const target = resolve(dirname(path), from.replace(/\.js$/, '.d.ts'));
    return existsSync(target) ? this.find(target, as) : null;
  }

  exportsOf(path) {
    const text = readFileSync(path, 'utf8');
    const listed = [...text.matchAll(/^export \{([^}]*)\}/gm)].flatMap(([, names]) => names.split(',').map((name) => name.trim()));
    const declared = [...text.matchAll(/^export declare (?:abstract )?(?:class|function|const) (\w+)/gm)].map(([, name]) => name);
    return [...new Set([...declared, ...listed])];
  }
}

// ---- comments

function withoutType(text) {
  if (!text.startsWith('{')) return text;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '{') depth += 1;
    if (text[at] === '}') depth -= 1;
    if (depth === 0) return text.slice(at + 1).trim();
  }
  return '';
}

/** What a comment says, and its tags. */
function read(comment) {
  const lines = comment.replace(/^\/\*\*|\*\/$/g, '').split('\n').map((line) => line.replace(/^\s*\* ?/, ''));
  const text = lines.join('\n').trim();
  const [summary, ...rest] = text.split(/(?:^|(?<=\s))@(?=(?:param|returns|type|typedef|property|template|override|extends|implements|abstract)\b)/);
  return { summary: summary.trim(), tags: rest.map((one) => [one.split(/\s/)[0], one.slice(one.split(/\s/)[0].length).trim().replace(/\s+/g, ' ')]) };
}

/** The sentences of a comment, with what its parameters mean. */
function sentences(comment) {
  const { summary, tags } = read(comment);
  const type = tags.filter(([tag]) => tag === 'type').map(([, text]) => withoutType(text)).join(' ');
  const parameters = tags.filter(([tag]) => tag === 'param').map(([, text]) => withoutType(text).match(/^\[?([\w.]+)(?:=[^\]]*)?\]?\s*(.*)$/))
    .filter((found) => found?.[2]).map(([, name, text]) => `\`${name}\`: ${text}`);
  const returns = tags.filter(([tag]) => tag === 'returns').map(([, text]) => withoutType(text)).filter(Boolean).map((text) => `Returns: ${text}`);
  return [[summary, type].filter(Boolean).join(' '), ...parameters, ...returns].filter(Boolean);
}

const isHidden = (comment) => read(comment).tags.some(([tag]) => ['override', 'abstract'].includes(tag));

// ---- what is written

const nameOf = (member) => member.match(/^(?:readonly |get |set |static )*(\w+)/)?.[1];

const plain = (text) => text
  .replace(/\/\*\*[^]*?\*\//g, '')
  .replace(/import\(['"][^'"]*['"]\)\./g, '')
  .replace(/^export (declare )?/, '')
  .replace(/^declare /, '')
  .replace(/\n\s+/g, ' ')
  .replace(/\s+/g, ' ')
  .trim();

const code = (text) => `\`\`\`ts\n${text}\n\`\`\`\n`;

/** A type as it is declared, with its comments. */
function typeText({ text }) {
  const body = text.replace(/import\(['"][^'"]*['"]\)\./g, '').replace(/^export /, '');
  return body.replace(/^( *)\/\*\*\s*\n\s*\* ?([^]*?)\s*\*\/\n/gm, (_, indent, comment) => `${indent}// ${comment.replace(/\s*\n\s*\* ?/g, ' ')}\n`).replace(/^ {4}/gm, '  ');
}

class Reference {
  #declarations;
  /** Types to be explained, by entry. */
  #wanted = new Map();

  constructor(directory) {
    this.#declarations = new Declarations(directory);
  }

  text() {
    const parts = ENTRIES.map(([name, path]) => this.#entry(name, join(this.#declarations.directory, path)));
    return `${HEAD}\n${parts.join('\n')}\n${this.#types()}`;
  }

  #entry(name, path) {
    const known = this.#declarations.exportsOf(path).map((one) => this.#declarations.find(path, one)).filter(Boolean);
    const shown = known.sort((a, b) => (a.kind === b.kind ? 0 : a.kind === 'function' ? -1 : 1)).map((one) => this.#shown(one));
    return `## \`${name}\`\n\n${shown.join('\n')}`;
  }

  #shown(declared) {
    const { name, kind, doc, text } = declared;
    if (kind === 'class') return this.#class(declared);
    this.#note(declared.path, text);
    return [`### ${name}`, '', code(plain(text).replace(/^function /, '')), ...sentences(doc).map((one) => `${one}\n`)].join('\n');
  }

  #class({ name, text, doc, path }) {
    const body = text.slice(text.indexOf('{') + 1, -1);
    const base = text.slice(0, text.indexOf('{')).match(/ extends ([\w.]+(?:<\w+>)?)\s*$/)?.[1];
    const members = [...statements(body)].filter(({ doc: own, text: member }) =>
      !member.startsWith('#') && !isHidden(own) && !HIDDEN[name]?.includes(nameOf(member)) && (!member.startsWith('constructor') || CONSTRUCTED.has(name)));
    for (const { text: member } of members) this.#note(path, member);
    if (base) this.#note(path, base);
    const rows = members.map(({ doc: own, text: member }) => `- \`${plain(member).replace(/;$/, '')}\`${sentences(own).map((one) => `\n  ${one.replace(/\n/g, '\n  ')}`).join('')}`);
    const about = sentences(doc).map((one) => `${one}\n`);
    return [`### ${name}`, '', ...about, ...(base ? [`Has what \`${plain(base)}\` has, too.\n`] : []), ...rows, ''].join('\n');
  }

  /** The types that a text names are explained. */
  #note(path, text) {
    const signature = text.replace(/\/\*\*[^]*?\*\//g, '');
    for (const [, from, name] of signature.matchAll(/(?:import\(['"]([^'"]*)['"]\)\.)?\b([A-Z]\w+)/g)) {
      const file = from ? resolve(dirname(path), from.replace(/\.js$/, '.d.ts')) : path;
      if (!existsSync(file)) continue;
      const declared = this.#declarations.find(file, name);
      if (!declared || declared.path.endsWith('events.d.ts') || this.#wanted.has(declared)) continue;
      this.#wanted.set(declared, null);
      this.#wanted.set(declared, declared.kind === 'class' ? this.#class(declared) : this.#type(declared));
    }
  }

  #type(declared) {
    this.#note(declared.path, declared.text);
    return [`### ${declared.name}`, '', ...sentences(declared.doc).map((one) => `${one}\n`), code(typeText(declared))].join('\n');
  }

  #types() {
    const exported = new Set(ENTRIES.flatMap(([, path]) => {
      const file = join(this.#declarations.directory, path);
      return this.#declarations.exportsOf(file).map((name) => this.#declarations.find(file, name));
    }));
    const others = [...this.#wanted].filter(([declared]) => !exported.has(declared)).sort(([a], [b]) => (a.name < b.name ? -1 : 1));
    return `## Types\n\n${others.map(([, text]) => text).join('\n')}`;
  }
}

/** The reference, from a directory with the emitted declarations. */
export const generated = (directory) => `${new Reference(directory).text().replace(/\n{3,}/g, '\n\n').trim()}\n`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const directory = mkdtempSync(join(tmpdir(), 'porchlight-types-'));
  try {
    const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
    execFileSync(process.execPath, [tsc, '-p', 'tsconfig.types.json', '--outDir', directory], { cwd: here, stdio: 'inherit' });
    writeFileSync(join(directory, 'events.d.ts'), readFileSync(join(here, 'src/events.d.ts')));
    writeFileSync(TARGET, generated(directory));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
