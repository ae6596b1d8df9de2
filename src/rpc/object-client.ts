/**
 * The Kubernetes API as a client sees it: what agents, the lab and the CLI use to read and write objects.
 *
 * Knows verbs and errors, not kinds: the caller says where a kind lives (`PathOf`, from `api/kinds.ts`), so that this
 * layer stays below the API types.
 */

/** The part of an object that the protocol itself needs. */
export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
  };
}

/** `/api/v1/namespaces/shop/pods/web`; without a name the collection, without a namespace all of them. */
export type PathOf = (kind: string, namespace?: string, name?: string) => string;

export interface ObjectClient {
  get<T extends ApiObject>(kind: string, namespace: string, name: string): Promise<T | undefined>;
  list<T extends ApiObject>(
    kind: string,
    namespace?: string,
  ): Promise<{ readonly version: string; readonly objects: readonly T[] }>;
  /** Throws MeshError `api.exists`, `api.invalid` … with the server's message. */
  create<T extends ApiObject>(object: T): Promise<T>;
  /** Compare-and-swap on metadata.resourceVersion; throws `api.conflict`, `api.absent`. */
  update<T extends ApiObject>(object: T): Promise<T>;
  /** Merges into `.status` only (merge patch on the status subresource): never conflicts. */
  patchStatus<T extends ApiObject>(
    kind: string,
    namespace: string,
    name: string,
    status: unknown,
  ): Promise<T>;
  /**
   * Creates, or merges the given fields into what is there and takes away those that this client applied before and
   * no longer gives (server-side apply). What `heddle apply` does.
   */
  apply<T extends ApiObject>(object: T): Promise<T>;
  /** Absent is success. */
  delete(kind: string, namespace: string, name: string): Promise<void>;
  /** The whole picture first (`synced`), then every change; lists again by itself when history has moved on. */
  watch<T extends ApiObject>(kind: string, signal: AbortSignal): AsyncIterable<ObjectEvent<T>>;
}

export type ObjectEvent<T extends ApiObject> =
  | { readonly type: "synced"; readonly objects: readonly T[] }
  | { readonly type: "added" | "modified" | "deleted"; readonly object: T };
