/*
 * presence-mesh: shares what phone servers know of their phones and mailboxes, with no coordinator.
 *
 * Made by cbindgen from src/capi; do not edit. The library:
 *     cargo rustc --release --lib --features capi --crate-type cdylib     (or staticlib)
 *
 * The rules that hold everywhere:
 *
 * Results. What can fail returns a pmesh_result. Anything but PMESH_OK leaves every `out` as it was, and
 * pmesh_last_error says in words what happened.
 *
 * NULL. A handle or text must not be NULL unless its function says so; a NULL is refused as
 * PMESH_BAD_ARGUMENT. Freeing NULL does nothing.
 *
 * Texts are UTF-8 and end with a NUL. Those given in are copied before the call returns. Those given out
 * belong to what they came with and live as long as that; a NUL inside is given as U+FFFD.
 *
 * Ownership. What a function gives through `out` is the caller's, who frees it once, by the one function for
 * its type: pmesh_config_free, pmesh_free, pmesh_watch_free, pmesh_answer_free, pmesh_tracked_free. Answers,
 * watches and tracked keys may outlive the node they came from.
 *
 * Threads. A pmesh_mesh may be used by any number of threads at once; a pmesh_config, a pmesh_watch, a
 * pmesh_answer and a pmesh_tracked by one at a time. Nothing may be used while or after it is freed, nor in a
 * child after fork().
 *
 * Panics never cross: a fault of the library's own comes back as PMESH_PANIC.
 */

#ifndef PRESENCE_MESH_H
#define PRESENCE_MESH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 What an answer holds.
 */
typedef enum pmesh_kind {
    /*
     `entries`: what was asked for, or, in a watch, all there is. The first item of every watch, and again
     after a resync.
     */
    PMESH_ENTRIES = 0,
    /*
     `key`, `old_entry`, `new_entry`: one key changed, its value, its freshness, or whether it is there.
     */
    PMESH_CHANGE = 1,
    /*
     Changes were dropped because they were not taken in time; all entries follow.
     */
    PMESH_RESYNC = 2,
    /*
     `event`: an event.
     */
    PMESH_EVENT = 3,
    /*
     `missed`: so many events are missing here; whether they were wanted cannot always be known.
     */
    PMESH_GAP = 4,
} pmesh_kind;

/*
 How far a shown value may be trusted.
 */
typedef enum pmesh_freshness {
    /*
     Right, as far as can be known.
     */
    PMESH_LIVE = 0,
    /*
     It was right some time ago; the age says when.
     */
    PMESH_STALE = 1,
    /*
     Everyone who said anything about it is gone.
     */
    PMESH_GONE = 2,
} pmesh_freshness;

/*
 How a call ended.
 */
typedef enum pmesh_result {
    /*
     Done.
     */
    PMESH_OK = 0,
    /*
     An argument is NULL where it must not be, not UTF-8, or not of the form that is asked for. Nothing was
     changed.
     */
    PMESH_BAD_ARGUMENT = 1,
    /*
     There is no such key.
     */
    PMESH_NOT_FOUND = 2,
    /*
     Nothing came in time; nothing is lost.
     */
    PMESH_TIMED_OUT = 3,
    /*
     The node has left the mesh: nothing more comes, nothing can be written.
     */
    PMESH_STOPPED = 4,
    /*
     The node could not start; nothing is left running.
     */
    PMESH_NOT_STARTED = 5,
    /*
     The write was refused; nothing was changed.
     */
    PMESH_REFUSED = 6,
    /*
     The operating system refused a resource: a thread, a file descriptor; or the node has as many watches or
     subscriptions as it may.
     */
    PMESH_NO_RESOURCE = 7,
    /*
     A fault of the library's own. What the call was to do may be half done.
     */
    PMESH_PANIC = 8,
} pmesh_result;

/*
 What a device does; Asterisk's numbers.
 */
typedef enum pmesh_device_state {
    /*
     Valid, but its state is not known.
     */
    PMESH_UNKNOWN = 0,
    /*
     Idle.
     */
    PMESH_NOT_INUSE = 1,
    /*
     On a call.
     */
    PMESH_INUSE = 2,
    /*
     Takes no more calls.
     */
    PMESH_BUSY = 3,
    /*
     Not known to the server.
     */
    PMESH_INVALID = 4,
    /*
     Not registered.
     */
    PMESH_UNAVAILABLE = 5,
    /*
     Ringing.
     */
    PMESH_RINGING = 6,
    /*
     On a call, and ringing for another.
     */
    PMESH_RINGINUSE = 7,
    /*
     On hold.
     */
    PMESH_ONHOLD = 8,
} pmesh_device_state;

/*
 What a field holds.
 */
typedef enum pmesh_field_type {
    /*
     Nothing: it is there, and that is all it says.
     */
    PMESH_FIELD_EXISTS = 0,
    /*
     `number`: 0 or 1.
     */
    PMESH_FIELD_BOOL = 1,
    /*
     `number`.
     */
    PMESH_FIELD_U64 = 2,
    /*
     `signed_number`.
     */
    PMESH_FIELD_I64 = 3,
    /*
     `text`.
     */
    PMESH_FIELD_STR = 4,
    /*
     `bytes` and `byte_count`.
     */
    PMESH_FIELD_BYTES = 5,
    /*
     `number`: single bits.
     */
    PMESH_FIELD_FLAGS = 6,
} pmesh_field_type;

/*
 Describes a node: made by pmesh_config_new, used by pmesh_start, freed by pmesh_config_free.
 */
typedef struct pmesh_config pmesh_config;

/*
 A running node: made by pmesh_start, freed by pmesh_free.
 */
typedef struct pmesh_mesh pmesh_mesh;

/*
 A key that is set for as long as this lives: made by pmesh_track, freed by pmesh_tracked_free.
 */
typedef struct pmesh_tracked pmesh_tracked;

/*
 Follows something: freed by pmesh_watch_free.
 */
typedef struct pmesh_watch pmesh_watch;

/*
 How many messages wait. Each at most 2147483647.
 */
typedef struct pmesh_counts {
    /*
     Not heard yet.
     */
    uint32_t new_messages;
    /*
     Heard and kept.
     */
    uint32_t old_messages;
    /*
     Urgent and not heard yet, on top.
     */
    uint32_t urgent_new;
    /*
     Urgent, heard and kept, on top.
     */
    uint32_t urgent_old;
} pmesh_counts;

/*
 A value: the field of its space is set, in what is given out all others are 0 or NULL.
 */
typedef struct pmesh_value {
    /*
     Of a device: one of pmesh_device_state.
     */
    uint32_t device_state;
    /*
     Of a mailbox.
     */
    struct pmesh_counts counts;
    /*
     Of a presence, as Asterisk spells it: `not_set`, `unavailable`, `available`, `away`, `xa`, `chat`, `dnd`.
     */
    const char *status;
    /*
     Of a presence: a finer word for the status, or empty.
     */
    const char *subtype;
    /*
     Of a presence: words for people, or empty.
     */
    const char *message;
    /*
     Of a custom value: JSON.
     */
    const char *json;
} pmesh_value;

/*
 What one node says of a key.
 */
typedef struct pmesh_contribution {
    /*
     What people call the node.
     */
    const char *node;
    /*
     Its replica id.
     */
    const char *replica;
    /*
     What it says.
     */
    struct pmesh_value value;
    /*
     How far it may be trusted.
     */
    enum pmesh_freshness freshness;
    /*
     How long ago the node was last known alive, in ms.
     */
    uint64_t age_ms;
    /*
     Whether it is this node's own.
     */
    bool own;
    /*
     Whether it decides what is shown, alone or with others.
     */
    bool wins;
} pmesh_contribution;

/*
 What is shown of a key.
 */
typedef struct pmesh_entry {
    /*
     The key.
     */
    const char *key;
    /*
     Of `custom-per-origin/`: the replica id of the node whose own value this is; else NULL.
     */
    const char *origin;
    /*
     The value, as all contributions together make it.
     */
    struct pmesh_value value;
    /*
     How far it may be trusted.
     */
    enum pmesh_freshness freshness;
    /*
     The age of what the value rests on, in ms.
     */
    uint64_t age_ms;
    /*
     The newest write among those the value needs, by its writer's clock, in ms since 1970.
     */
    uint64_t changed_at_ms;
    /*
     What each node says; NULL when there is none. An `old_entry` has none.
     */
    const struct pmesh_contribution *contributions;
    /*
     How many contributions there are.
     */
    size_t contribution_count;
} pmesh_entry;

/*
 A field of an event. What its type does not name is 0 or NULL when given out, and not looked at when given
 in.
 */
typedef struct pmesh_field {
    /*
     Its name.
     */
    const char *name;
    /*
     What it holds: one of pmesh_field_type.
     */
    uint32_t holds;
    /*
     See pmesh_field_type.
     */
    uint64_t number;
    /*
     See pmesh_field_type.
     */
    int64_t signed_number;
    /*
     A text.
     */
    const char *text;
    /*
     Any bytes; may be NULL when there are none.
     */
    const uint8_t *bytes;
    /*
     How many.
     */
    size_t byte_count;
} pmesh_field;

/*
 An event that somebody published.
 */
typedef struct pmesh_event {
    /*
     What kind of event it is: `call.parked`.
     */
    const char *kind;
    /*
     What people call the node that published it.
     */
    const char *node;
    /*
     The replica id of that node.
     */
    const char *replica;
    /*
     In which life it did; with `replica` and `seq` the one name of this event.
     */
    uint64_t incarnation;
    /*
     The number of the event in that life, from 1.
     */
    uint64_t seq;
    /*
     When, by its clock, in ms since 1970.
     */
    uint64_t at_ms;
    /*
     Its fields, ordered by name.
     */
    const struct pmesh_field *fields;
    /*
     How many.
     */
    size_t field_count;
} pmesh_event;

/*
 An answer: freed by pmesh_answer_free, together with all that it points to. Fields that its kind does not
 name are 0 or NULL.
 */
typedef struct pmesh_answer {
    /*
     What it holds.
     */
    enum pmesh_kind kind;
    /*
     Entries, ordered by key.
     */
    const struct pmesh_entry *entries;
    /*
     How many.
     */
    size_t entry_count;
    /*
     The key that changed.
     */
    const char *key;
    /*
     What was shown before, without contributions; NULL when nothing was.
     */
    const struct pmesh_entry *old_entry;
    /*
     What is shown now; NULL when the key was withdrawn.
     */
    const struct pmesh_entry *new_entry;
    /*
     The event.
     */
    const struct pmesh_event *event;
    /*
     How many events are missing.
     */
    uint64_t missed;
} pmesh_answer;

/*
 Is given each item in turn, and NULL once when the node has left. See pmesh_watch_call.
 */
typedef void (*pmesh_callback)(const struct pmesh_answer *answer, void *user_data);

/*
 A key, and the value it is given.
 */
typedef struct pmesh_keyed_value {
    /*
     The key.
     */
    const char *key;
    /*
     The value: the field of the space is read, all others are not.
     */
    struct pmesh_value value;
} pmesh_keyed_value;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Frees an answer and all that it points to. Never one that a callback was given.

 Pointers:
 `answer`: an answer that is not used any more, or NULL.
 */
void pmesh_answer_free(struct pmesh_answer *answer);

/*
 Begins to describe a node of the mesh called `mesh`. Meshes with other names never mix.

 Pointers:
 `mesh`: a text. `out`: where to put the config, which pmesh_config_free frees.
 */
enum pmesh_result pmesh_config_new(const char *mesh, struct pmesh_config **out);

/*
 Sets one thing. A name that may be repeated adds; of the others the last counts.

 | name            | value                                                                            |
 |-----------------|----------------------------------------------------------------------------------|
 | `node`          | what people call this node                                                       |
 | `key`           | the mesh's secret, 64 hexadecimal digits; this or `key_file` is needed           |
 | `key_file`      | a file with the same, readable by its owner only                                 |
 | `identity_file` | who this node is; made when it is not there                                      |
 | `data_dir`      | a folder for what must survive a restart; made when it is not there              |
 | `listen`        | `host:port`, port 0 takes a free one; may be repeated                            |
 | `join`          | `host:port` of any live node; may be repeated                                    |
 | `mdns`, `kad`   | `on` or `off`: find others on the LAN (default on), by a DHT (default off)       |
 | `preset`        | `lan`, `wan` or `local`: how soon silence counts                                 |
 | `mailboxes`     | `latest` or `sum`: how several writers of one mailbox combine                    |
 | `remember_ms`   | for how long events are remembered, in ms; default 0: not at all                 |

 Pointers:
 `config`: a config, used by no other thread meanwhile. `name`, `value`: texts.
 */
enum pmesh_result pmesh_config_set(struct pmesh_config *config, const char *name, const char *value);

/*
 Frees a config. Nodes that were started from it go on.

 Pointers:
 `config`: a config that is not used any more, or NULL.
 */
void pmesh_config_free(struct pmesh_config *config);

/*
 Publishes an event: subscribers on all nodes have it as soon as the network brings it, each at most once.
 Never waits, and never fails because the network is down. `ttl_ms`: for how long it is worth delivering; 0
 takes the default, 60 s or for as long as events are remembered.

 Pointers:
 `mesh`: a node. `kind`: a text. `fields`: `field_count` fields, which are copied; NULL when there are none.
 */
enum pmesh_result pmesh_publish(const struct pmesh_mesh *mesh,
                                const char *kind,
                                const struct pmesh_field *fields,
                                size_t field_count,
                                uint64_t ttl_ms);

/*
 Subscribes to the events whose kind matches `kind` (`*` any run of characters, `?` one) and of which all
 conditions hold, each written `NAME OP VALUE` with OP one of `=`, `!=`, `>=`, `<=`, `^=` (begins with):
 `slot >= 700`. `remembered`: also those from before, as far as nodes remember them. The items, of kind
 PMESH_EVENT or PMESH_GAP, are taken by pmesh_watch_next; one who does not take them in time is told a gap.

 Pointers:
 `mesh`: a node. `kind`: a text. `conditions`: `condition_count` texts; NULL when there are none. `out`: where
 to put the watch, which pmesh_watch_free frees. It may outlive the node.
 */
enum pmesh_result pmesh_subscribe(const struct pmesh_mesh *mesh,
                                  const char *kind,
                                  const char *const *conditions,
                                  size_t condition_count,
                                  bool remembered,
                                  struct pmesh_watch **out);

/*
 Like pmesh_subscribe, but hands each item to `callback`, as pmesh_watch_call does.

 Pointers:
 As pmesh_subscribe and pmesh_watch_call.
 */
enum pmesh_result pmesh_subscribe_call(const struct pmesh_mesh *mesh,
                                       const char *kind,
                                       const char *const *conditions,
                                       size_t condition_count,
                                       bool remembered,
                                       pmesh_callback callback,
                                       void *user_data,
                                       struct pmesh_watch **out);

/*
 Starts a node on a thread of its own. Returns when it listens; never waits for a join and never fails
 because of one. The config is left as it is, to be freed by the caller.

 Pointers:
 `config`: a config, used by no other thread meanwhile. `out`: where to put the node, which pmesh_free frees.
 */
enum pmesh_result pmesh_start(const struct pmesh_config *config, struct pmesh_mesh **out);

/*
 The node's replica id. NULL when `mesh` is; else valid until the node is freed, and not to be freed itself.

 Pointers:
 `mesh`: a node, or NULL.
 */
const char *pmesh_id(const struct pmesh_mesh *mesh);

/*
 Where the node listens, each address good for another's `join`, separated by commas. NULL when `mesh` is;
 else valid until the node is freed, and not to be freed itself.

 Pointers:
 `mesh`: a node, or NULL.
 */
const char *pmesh_addresses(const struct pmesh_mesh *mesh);

/*
 Waits until the first exchange with a peer is done, or there was no peer for 5 s; at most `timeout_ms`
 (negative: as long as it takes). PMESH_TIMED_OUT when it is not so by then.

 Pointers:
 `mesh`: a node.
 */
enum pmesh_result pmesh_ready(const struct pmesh_mesh *mesh, int64_t timeout_ms);

/*
 To how many other nodes there is a connection.

 Pointers:
 `mesh`: a node. `out`: where to put the number.
 */
enum pmesh_result pmesh_peers_connected(const struct pmesh_mesh *mesh, size_t *out);

/*
 Leaves the mesh: the others see this node gone at once. Returns when the goodbye is sent and all
 connections are closed; watches end, writes are refused afterwards. The node is still to be freed.

 Pointers:
 `mesh`: a node.
 */
enum pmesh_result pmesh_leave(const struct pmesh_mesh *mesh);

/*
 Frees a node. One that has not left ends now, and the others find out by its silence.

 Pointers:
 `mesh`: a node that is not used any more, or NULL.
 */
void pmesh_free(struct pmesh_mesh *mesh);

/*
 What went wrong in the last call of this thread that failed, in words. Never NULL; empty when none has
 failed. Valid until the next call of this thread that fails, or its end; not to be freed.
 */
const char *pmesh_last_error(void);

/*
 Says what this node knows of the device `key`: `state` is one of pmesh_device_state. Local and instant;
 never fails because the network is down. Setting an equal value again sends nothing.

 Pointers:
 `mesh`: a node. `key`: a text of 1 to 255 bytes.
 */
enum pmesh_result pmesh_set_device(const struct pmesh_mesh *mesh, const char *key, uint32_t state);

/*
 Says what this node knows of the mailbox `key`, `mailbox@context`; without a context it is `default`.

 Pointers:
 `mesh`: a node. `key`: a text of 1 to 255 bytes. `counts`: counts, which are copied.
 */
enum pmesh_result pmesh_set_mailbox(const struct pmesh_mesh *mesh,
                                    const char *key,
                                    const struct pmesh_counts *counts);

/*
 Says whether somebody can be reached: `status` as Asterisk spells it (`available`, `away`, `dnd`, see
 pmesh_value). Of several writers the latest is shown.

 Pointers:
 `mesh`: a node. `key`, `status`: texts. `subtype`, `message`: texts, or NULL for none.
 */
enum pmesh_result pmesh_set_presence(const struct pmesh_mesh *mesh,
                                     const char *key,
                                     const char *status,
                                     const char *subtype,
                                     const char *message);

/*
 Says a value of one's own: any JSON of at most 4096 bytes. Of several writers the latest is shown.

 Pointers:
 `mesh`: a node. `name_space`, `key`, `json`: texts; namespace and key take 254 bytes together at most.
 */
enum pmesh_result pmesh_set_custom(const struct pmesh_mesh *mesh,
                                   const char *name_space,
                                   const char *key,
                                   const char *json);

/*
 Says a value of one's own, of a key of which each node has its own and none is ever combined with another's:
 the load of each server, say. The same namespace in pmesh_set_custom is another one.

 Pointers:
 As pmesh_set_custom.
 */
enum pmesh_result pmesh_set_custom_per_origin(const struct pmesh_mesh *mesh,
                                              const char *name_space,
                                              const char *key,
                                              const char *json);

/*
 Withdraws what this node said of `key` in `space`. PMESH_OK also when it said nothing.

 Pointers:
 `mesh`: a node. `space`, `key`: texts; for `space` see pmesh_get.
 */
enum pmesh_result pmesh_clear(const struct pmesh_mesh *mesh, const char *space, const char *key);

/*
 What is known of `key`: an answer of kind PMESH_ENTRIES with one entry, or PMESH_NOT_FOUND.
 `space` is `device`, `mailbox`, `presence`, or `custom/` or `custom-per-origin/` and a namespace. Of the last the
 entry is this node's own, or without one the first of the others', with the contributions of all.

 Pointers:
 `mesh`: a node. `space`, `key`: texts. `out`: where to put the answer, which pmesh_answer_free frees.
 */
enum pmesh_result pmesh_get(const struct pmesh_mesh *mesh,
                            const char *space,
                            const char *key,
                            struct pmesh_answer **out);

/*
 All keys of `space` that match `pattern` (`*` any run of characters, `?` one), ordered by key: an answer of
 kind PMESH_ENTRIES. Of `custom-per-origin/` there is an entry for each node that says something of a key.

 Pointers:
 `mesh`: a node. `space`, `pattern`: texts. `out`: where to put the answer, which pmesh_answer_free frees.
 */
enum pmesh_result pmesh_list(const struct pmesh_mesh *mesh,
                             const char *space,
                             const char *pattern,
                             struct pmesh_answer **out);

/*
 Sets many keys of one space: others see all of them or none. `space` as in pmesh_get.

 Pointers:
 `mesh`: a node. `space`: a text. `entries`: `entry_count` of them, which are copied; NULL when there are none.
 Each `key` is a text, and of its value what its space names: for presence `status` is a text, `subtype` and
 `message` are texts or NULL for none; for custom values `json` is a text.
 */
enum pmesh_result pmesh_set_many(const struct pmesh_mesh *mesh,
                                 const char *space,
                                 const struct pmesh_keyed_value *entries,
                                 size_t entry_count);

/*
 Says what this node knows of `key` until pmesh_tracked_free, which withdraws it; so does the end of the
 process. Several on one key count: the newest living one's value is said. `space` as in pmesh_get.

 Pointers:
 `mesh`: a node. `space`, `key`: texts. `value`: a value, as in pmesh_set_many. `out`: where to put what
 pmesh_tracked_free frees. It may outlive the node.
 */
enum pmesh_result pmesh_track(const struct pmesh_mesh *mesh,
                              const char *space,
                              const char *key,
                              const struct pmesh_value *value,
                              struct pmesh_tracked **out);

/*
 Changes the value. While a newer one on the same key lives, that one's is shown.

 Pointers:
 `tracked`: what pmesh_track gave, used by no other thread meanwhile. `value`: a value of the same space, as in
 pmesh_set_many.
 */
enum pmesh_result pmesh_tracked_set(const struct pmesh_tracked *tracked,
                                    const struct pmesh_value *value);

/*
 Withdraws the key, unless another of the same key lives, and frees it.

 Pointers:
 `tracked`: what pmesh_track gave and is not used any more, or NULL.
 */
void pmesh_tracked_free(struct pmesh_tracked *tracked);

/*
 Follows all keys of `space` that match `pattern`: first all entries, then every change of what is shown. The
 items are taken by pmesh_watch_next. One who does not take them in time never slows the node: when more
 than 4096 changes wait, they are dropped, and PMESH_RESYNC and all entries are given instead.

 Pointers:
 `mesh`: a node. `space`, `pattern`: texts, see pmesh_list. `out`: where to put the watch, which
 pmesh_watch_free frees. It may outlive the node.
 */
enum pmesh_result pmesh_watch_new(const struct pmesh_mesh *mesh,
                                  const char *space,
                                  const char *pattern,
                                  struct pmesh_watch **out);

/*
 Like pmesh_watch_new, but hands each item to `callback`, on a thread of the watch's own, one at a time; the
 first perhaps before this has returned.

 The answer is lent: valid until the callback returns, never to be freed. NULL is handed over once, when the
 node has left; nothing comes after it, and nothing at all comes once the watch is freed: who wants the NULL
 frees the watch only then. A callback may call anything, pmesh_watch_free of its own watch
 included; it must return, and not by `longjmp` or a C++ exception. While it runs no other item is handed
 over; what comes meanwhile waits as with pmesh_watch_new.

 Pointers:
 As pmesh_watch_new. `callback`: a function, called until pmesh_watch_free has returned (if that is called
 from within the callback: until the callback has). `user_data`: handed to each call as it is, never looked
 at; it must bear to be used by another thread for as long.
 */
enum pmesh_result pmesh_watch_call(const struct pmesh_mesh *mesh,
                                   const char *space,
                                   const char *pattern,
                                   pmesh_callback callback,
                                   void *user_data,
                                   struct pmesh_watch **out);

/*
 Takes the next item. `timeout_ms`: how long to wait for one at most; 0 does not wait, negative waits as long
 as it takes. PMESH_TIMED_OUT when none came, PMESH_STOPPED when the node has left and all items are taken,
 PMESH_BAD_ARGUMENT when the watch has a callback.

 Pointers:
 `watch`: a watch, used by no other thread meanwhile. `out`: where to put the answer, which
 pmesh_answer_free frees.
 */
enum pmesh_result pmesh_watch_next(struct pmesh_watch *watch, int64_t timeout_ms, struct pmesh_answer **out);

/*
 A file descriptor for `poll`, `select` or an event loop: readable while there may be an item. When it is,
 call pmesh_watch_next with timeout 0 until it does not return PMESH_OK. It belongs to the watch: never read
 or close it; pmesh_watch_free closes it.

 Pointers:
 `watch`: a watch without a callback, used by no other thread meanwhile. `out`: where to put the descriptor.
 */
enum pmesh_result pmesh_watch_fd(struct pmesh_watch *watch, int *out);

/*
 Ends a watch and frees it. Waits for a callback that is running, unless called from within it.

 Pointers:
 `watch`: a watch that is not used any more, or NULL.
 */
void pmesh_watch_free(struct pmesh_watch *watch);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PRESENCE_MESH_H */
