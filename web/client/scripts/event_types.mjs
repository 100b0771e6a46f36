// Writes src/events.d.ts from openapi.yaml: `node scripts/event_types.mjs`. A test fails when the two differ.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const SOURCE = new URL('../../../openapi/openapi.yaml', import.meta.url);
export const TARGET = new URL('../src/events.d.ts', import.meta.url);
const PRIMITIVES = { string: 'string', integer: 'number', number: 'number', boolean: 'boolean', null: 'null', object: '{ [field: string]: unknown }', array: 'unknown[]' };

const literal = (value) => (typeof value === 'string' ? `'${value.replace(/'/g, "\\'")}'` : JSON.stringify(value));
const union = (types) => [...new Set(types)].join(' | ');
const grouped = (type) => (/[|&]/.test(type) ? `(${type})` : type);
const nameOf = (ref) => ref.split('/').at(-1);

class Types {
  #schemas;
  /** Schemas that are used and how they are written, in the order of their names. */
  #written = new Map();

  constructor(schemas) {
    this.#schemas = schemas;
  }

  of(schema) {
    if (schema === undefined || schema === true) return 'any';
    if (schema.$ref) return this.#reference(nameOf(schema.$ref));
    if ('const' in schema) return literal(schema.const);
    if (schema.enum) return union(schema.enum.map(literal));
    const choices = schema.oneOf ?? (schema.properties || schema.type ? undefined : schema.anyOf);
    if (choices) return union(choices.map((one) => this.of(one)));
    if (schema.allOf) return this.#combined(schema);
    return this.#typed(schema);
  }

  #reference(name) {
    if (!this.#written.has(name)) {
      this.#written.set(name, '');
      this.#written.set(name, this.of(this.#schemas[name]));
    }
    return name;
  }

  #combined({ allOf, properties, required = [] }) {
    const own = properties || required.length ? [this.#object({ properties, required })] : [];
    // A required field of the common part may have no schema of its own.
    const named = required.filter((name) => !properties?.[name]).map((name) => `{ ${name}: NonNullable<${grouped(this.of(allOf[0]))}['${name}']> }`);
    const narrowed = Object.keys(properties ?? {}).map((name) => `'${name}'`);
    const parts = allOf.map((one) => (narrowed.length ? `Omit<${this.of(one)}, ${union(narrowed)}>` : this.of(one)));
    return [...parts, ...named, ...own].join(' & ');
  }

  #typed({ type, properties, required, items, additionalProperties }) {
    if (Array.isArray(type)) return union(type.map((one) => this.#typed({ type: one, properties, required, items, additionalProperties })));
    if (type === 'array' && items) return `${grouped(this.of(items))}[]`;
    if (properties) return this.#object({ properties, required, isOpen: additionalProperties === true });
    return PRIMITIVES[type] ?? 'any';
  }

  #object({ properties = {}, required = [], isOpen = false }) {
    const fields = Object.entries(properties).map(([name, schema]) => {
      const note = schema.description ? `/** ${schema.description.trim().replace(/\s+/g, ' ')} */ ` : '';
      return `${note}${name}${required.includes(name) ? '' : '?'}: ${this.of(schema)}`;
    });
    return `{ ${[...fields, ...(isOpen ? ['[field: string]: any'] : [])].join('; ')} }`;
  }

  declarations() {
    const names = [...this.#written.keys()].sort();
    return names.map((name) => {
      const { description } = this.#schemas[name];
      const note = description ? `/** ${description.trim().replace(/\s+/g, ' ').replace(/\*\//g, '* /')} */\n` : '';
      return `${note}export type ${name} = ${this.#written.get(name)};\n`;
    });
  }
}

/** `^[A-Za-z]+:locked$` as a template literal. */
function template(pattern) {
  const text = pattern.replace(/^\^|\$$/g, '').replace(/\[[^\]]*\][+*]?/g, '${string}');
  return `\`${text}\``;
}

export function eventTypes(openapi) {
  const { schemas } = openapi.components;
  const types = new Types(schemas);
  const known = [];
  const patterns = [];
  let rest = 'LoggedEvent';
  for (const { properties: { event, data } } of schemas.StreamMessage.anyOf) {
    const type = data.contentSchema ? types.of(data.contentSchema) : null;
    if (!type) continue; // the heartbeat, which no application sees
    if (!event) rest = type;
    else if (event.pattern) patterns.push([template(event.pattern), type]);
    else for (const name of event.enum ?? [event.const]) known.push([name, type]);
  }
  for (const name of ['StoredRecord', 'Lock', 'Person', 'Task', 'Notification', 'Act', 'Problem']) types.of({ $ref: name });
  return `// Generated from openapi/openapi.yaml by scripts/event_types.mjs. Do not edit.

${types.declarations().join('\n')}
/** A reset that the client makes itself: what was loaded with other rights (\`rights\`) or as another user (\`user\`) must be loaded again. */
export type RightsReset = { type: 'stream:reset'; reason: 'rights' | 'user'; /** The position after which the stream continues. */ position: Position; snapshot?: undefined };

/** Events whose type is known by name. */
export interface KnownEvents {
${known.map(([name, type]) => `  '${name}': ${type}${name === 'stream:reset' ? ' | RightsReset' : ''};`).join('\n')}
}

type PatternEvent<Type extends string> =
${patterns.map(([pattern, type]) => `  Type extends ${pattern} ? ${type} :`).join('\n')}
  ${rest};

type Beginning<Prefix extends string> = KnownEvents[keyof KnownEvents & \`\${Prefix}\${string}\`];

/** The event of a type like \`escrow:updated\`, or the events of a pattern like \`ai:task:*\`. */
export type EventOf<Type extends string> =
  string extends Type ? any :
  Type extends keyof KnownEvents ? KnownEvents[Type] :
  Type extends '*' ? any :
  Type extends \`\${infer Prefix}*\` ? ([Beginning<Prefix>] extends [never] ? PatternEvent<Type> : Beginning<Prefix>) :
  PatternEvent<Type>;
`;
}

export const generated = async () => eventTypes(parse(await readFile(SOURCE, 'utf8')));

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(TARGET, await generated());
