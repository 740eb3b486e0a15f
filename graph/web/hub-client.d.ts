/** Types of hub-client.js. The shapes are those of contracts/schema/. */

export type Outcome = "answered" | "confused" | "rephrase";
export type StateName = "idle" | "typing" | Outcome | "offline";

export interface Alternative {
  readonly intent: string;
  readonly confidence: number;
}

export interface Result {
  readonly id: string;
  readonly title: string;
  readonly snippet: string;
  readonly url: string;
  readonly intent: string;
  readonly score: number;
}

export interface Crisis {
  readonly title: string;
  readonly text: string;
  readonly phone: string;
  readonly url: string;
}

export interface Answer {
  readonly interaction_id: string;
  readonly outcome: Outcome;
  readonly message: string | null;
  readonly crisis: Crisis | null;
  readonly intent: string | null;
  readonly confidence: number | null;
  readonly is_confused: boolean;
  readonly confused_because: "degraded" | "low_confidence" | "out_of_scope" | "ambiguous" | null;
  readonly alternatives: readonly Alternative[];
  readonly results: readonly Result[];
  readonly degraded: readonly string[];
  readonly model_version: string | null;
  readonly embedding_space: string | null;
  readonly timings_ms: Readonly<Record<string, number>>;
}

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly request_id: string;
  readonly errors?: readonly { readonly field: string; readonly message: string }[] | null;
}

export interface Contact {
  readonly name: string;
  readonly text: string;
  readonly phone: string;
}

export interface Hints {
  readonly crisis: Crisis;
  readonly contacts: readonly Contact[];
  readonly examples: readonly string[];
  /** What a person reads for each intent. */
  readonly intents: Readonly<Record<string, string>>;
}

export interface State {
  readonly name: StateName;
  readonly question: string | null;
  /** While `offline`: the answer that was being read when the network went. */
  readonly answer: Answer | null;
  /** Why the last question was refused; only while `idle`. */
  readonly problem: HubProblem | null;
}

export declare const TYPING_MS: 800;
export declare const PATIENCE_MS: 10000;
export declare const POLL_MS: 2000;

export declare class HubProblem extends Error {
  readonly problem: Problem;
  readonly status: number;
  readonly retryAfterS: number | null;
}

export declare class HubClient extends EventTarget {
  constructor(options?: {
    /** Where the hub is; another origin has to be named in its HUB_CORS_ORIGINS. */
    baseUrl?: string;
    /** Where thumbs wait until they are delivered; localStorage unless given. */
    storage?: Pick<Storage, "getItem" | "setItem">;
  });

  readonly state: State;

  ask(text: string, options?: { signal?: AbortSignal }): Promise<State>;
  sendFeedback(
    interactionId: string,
    score: 1 | -1,
    comment?: string | null,
  ): Promise<"stored" | "pending" | "kept">;
  hints(): Promise<Hints>;
  close(): void;

  addEventListener(
    type: "state",
    listener: (event: CustomEvent<State>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}
