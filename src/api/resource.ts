/** What every object that users write has in common. Field names are the Kubernetes API's. */

export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

/** What messages call an object: `Pod shop/cart-0`, `Node node-1`. */
export function titleOf({ kind, metadata }: Resource): string {
  const { namespace, name } = metadata;
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

export interface ObjectMeta {
  readonly name: string;
  /** Absent on kinds without a namespace. */
  readonly namespace?: string;
  readonly uid?: string;
  /** Opaque to users; the store's version of the last change. */
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  /** Set while the object waits for its finalizers or its grace period. */
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  /** Names of those who must do something before the object may go. */
  readonly finalizers?: readonly string[];
  /** Asks the server for a name that starts so; used where `name` is absent. */
  readonly generateName?: string;
  /** Which fields each writer applied: what a later apply may take away again. */
  readonly managedFields?: readonly ManagedFields[];
}

/** One writer and the fields it applied, as nested `f:` keys (Kubernetes FieldsV1; lists are one field). */
export interface ManagedFields {
  readonly manager: string;
  readonly operation: "Apply";
  readonly apiVersion: string;
  readonly fieldsType: "FieldsV1";
  readonly fieldsV1: Readonly<Record<string, unknown>>;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly LabelSelectorRequirement[];
}

export interface LabelSelectorRequirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values?: readonly string[];
}

export interface Condition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}
