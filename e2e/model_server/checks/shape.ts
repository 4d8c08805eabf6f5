/** Field checks that report a mistake the way the API's own validator does: `path: what is wrong`. */
import { reject } from "./rejection.ts";

export type Json = Record<string, unknown>;
export type Check = (value: unknown, path: string) => void;

export interface Field {
  check: Check;
  required: boolean;
}

export const required = (check: Check): Field => ({ check, required: true });
export const optional = (check: Check): Field => ({ check, required: false });

/** Accepts null besides what `check` accepts. */
export const nullable =
  (check: Check): Check =>
  (value, path) => {
    if (value !== null) check(value, path);
  };

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Any value; the caller checks it elsewhere. */
export const anything: Check = () => undefined;

export const object: Check = (value, path) => {
  if (!isObject(value)) reject(`${path}: Input should be a valid dictionary`);
};

export const string: Check = (value, path) => {
  if (typeof value !== "string") reject(`${path}: Input should be a valid string`);
};

export const boolean: Check = (value, path) => {
  if (typeof value !== "boolean") reject(`${path}: Input should be a valid boolean`);
};

export const integer =
  (minimum: number): Check =>
  (value, path) => {
    if (!Number.isInteger(value)) reject(`${path}: Input should be a valid integer`);
    if ((value as number) < minimum) reject(`${path}: Input should be greater than or equal to ${minimum}`);
  };

export const oneOf =
  (...allowed: string[]): Check =>
  (value, path) => {
    if (typeof value !== "string" || !allowed.includes(value)) {
      reject(`${path}: Input should be ${allowed.map((item) => `'${item}'`).join(" or ")}`);
    }
  };

export const pattern =
  (regex: RegExp): Check =>
  (value, path) => {
    string(value, path);
    if (!regex.test(value as string)) reject(`${path}: String should match pattern '${regex.source}'`);
  };

export const list =
  (check: Check): Check =>
  (value, path) => {
    if (!Array.isArray(value)) reject(`${path}: Input should be a valid list`);
    for (const [i, item] of value.entries()) check(item, `${path}.${i}`);
  };

/** An object with exactly these fields: a missing one and an unknown one are both refused. */
export const fields =
  (shape: Record<string, Field>): Check =>
  (value, path) => {
    if (!isObject(value)) reject(`${path === "" ? "body" : path}: Input should be a valid dictionary`);
    const dot = path === "" ? "" : `${path}.`;
    for (const [name, field] of Object.entries(shape)) {
      if (value[name] !== undefined) field.check(value[name], `${dot}${name}`);
      else if (field.required) reject(`${dot}${name}: Field required`);
    }
    for (const name of Object.keys(value)) {
      if (!(name in shape)) reject(`${dot}${name}: Extra inputs are not permitted`);
    }
  };

/** An object told apart by its `type`; the tag becomes part of the path, as in the API's texts. */
export const tagged =
  (variants: Record<string, Check>): Check =>
  (value, path) => {
    if (!isObject(value)) reject(`${path}: Input should be a valid dictionary`);
    const tag = value.type;
    if (tag === undefined) reject(`${path}.type: Field required`);
    const variant = typeof tag === "string" && Object.hasOwn(variants, tag) ? variants[tag] : undefined;
    if (variant === undefined) {
      const expected = Object.keys(variants).map((name) => `'${name}'`);
      reject(
        `${path}: Input tag '${String(tag)}' found using 'type' does not match any of the expected tags: ${expected.join(", ")}`,
      );
    }
    variant(value, `${path}.${String(tag)}`);
  };
