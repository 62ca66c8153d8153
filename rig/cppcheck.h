/* The macros of libraries that shape statements, as cppcheck, which reads no system headers, has to see them.
 * Compiled into nothing. */
#define json_array_foreach(array, i, value) for (i = 0; i < json_array_size(array) && (value = json_array_get(array, i)); i++)
#define json_object_foreach(object, key, value) while (json_next(object, &key, &value))
#define LIBBPF_OPTS(type, name, ...) struct type name = {__VA_ARGS__}
#define DL_FOREACH2(head, e, next) for (e = head; e; e = e->next)
#define DL_FOREACH(head, e) for (e = head; e; e = e->next)
#define DL_FOREACH_SAFE2(head, e, t, next) for (e = head; e && (t = e->next, 1); e = t)
#define DL_FOREACH_SAFE(head, e, t) for (e = head; e && (t = e->next, 1); e = t)
#define HASH_ITER(hh, head, e, t) for (e = head; e && (t = e->hh.next, 1); e = t)
#define mnl_attr_for_each(attr, message, offset) while ((attr = mnl_next(message, offset)))
#define mnl_attr_for_each_nested(attr, nest) while ((attr = mnl_next(nest, 0)))
