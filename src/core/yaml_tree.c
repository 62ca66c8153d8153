/* YAML text to tree: see yaml_tree.h. */
#include "core/yaml_tree.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_MOST 16
#define NODES_MOST (4u << 20) /* 10,000 services of 10 backends have less than a million */
#define CHUNK_BYTES (256u << 10)

struct chunk {
	struct chunk *next;
	size_t used, room;
	_Alignas(16) char bytes[];
};

struct yaml_tree {
	struct chunk *chunks;
	struct yaml_node *root;
};

struct builder {
	yaml_parser_t parser;
	struct yaml_tree *tree;
	const char *text;
	size_t bytes;
	struct problems *problems;
	struct yaml_node *open[DEPTH_MOST]; /* collections being filled, innermost last */
	struct yaml_node **tail[DEPTH_MOST];
	size_t depth, nodes;
};

static void *take(struct yaml_tree *tree, size_t bytes)
{
	struct chunk *chunk = tree->chunks;
	void *at;

	bytes = (bytes + 15) & ~(size_t)15;
	if (!chunk || chunk->room - chunk->used < bytes) {
		size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;

		chunk = malloc(sizeof(*chunk) + room);
		if (!chunk)
			abort();
		*chunk = (struct chunk){.next = tree->chunks, .room = room};
		tree->chunks = chunk;
	}
	at = chunk->bytes + chunk->used;
	chunk->used += bytes;
	return at;
}

void yaml_tree_free(struct yaml_tree *tree)
{
	if (!tree)
		return;
	for (struct chunk *chunk = tree->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(tree);
}

const struct yaml_node *yaml_tree_root(const struct yaml_tree *tree)
{
	return tree->root;
}

const char *yaml_kind_name(enum yaml_kind kind)
{
	switch (kind) {
	case YAML_SCALAR:
		return "a value";
	case YAML_LIST:
		return "a list";
	case YAML_MAP:
		return "a mapping";
	}
	return "";
}

static bool refuse(struct builder *builder, const yaml_mark_t *mark, const char *what)
{
	problems_add(builder->problems, PROBLEM_ERROR, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1, "%s", what);
	return false;
}

static struct yaml_node *add(struct builder *builder, enum yaml_kind kind, const yaml_mark_t *mark)
{
	struct yaml_node *node = take(builder->tree, sizeof(*node));

	*node = (struct yaml_node){.kind = kind, .line = (uint32_t)mark->line + 1, .column = (uint32_t)mark->column + 1};
	if (!builder->depth) {
		builder->tree->root = node;
		return node;
	}
	*builder->tail[builder->depth - 1] = node;
	builder->tail[builder->depth - 1] = &node->next;
	return node;
}

static bool open_collection(struct builder *builder, enum yaml_kind kind, const yaml_event_t *event)
{
	struct yaml_node *node;

	if (builder->depth == DEPTH_MOST)
		return refuse(builder, &event->start_mark, "nested too deeply: nothing here needs more than five levels");
	node = add(builder, kind, &event->start_mark);
	builder->open[builder->depth] = node;
	builder->tail[builder->depth++] = &node->first;
	return true;
}

static bool add_scalar(struct builder *builder, const yaml_event_t *event)
{
	size_t count = event->data.scalar.length;
	struct yaml_node *node = add(builder, YAML_SCALAR, &event->start_mark);
	char *text = take(builder->tree, count + 1);

	if (memchr(event->data.scalar.value, '\0', count))
		return refuse(builder, &event->start_mark, "a value must not hold a zero byte");
	memcpy(text, event->data.scalar.value, count);
	text[count] = '\0';
	node->text = text;
	node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	return true;
}

/* What a node may carry in YAML and must not carry here; NULL when it carries nothing. */
static const char *find_decoration(const yaml_event_t *event)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (event->type == YAML_SCALAR_EVENT) {
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
	}
	if (anchor)
		return "anchors (&name) are not supported: write the value out";
	return tag ? "tags (!name) are not supported: write the value alone" : NULL;
}

static bool take_event(struct builder *builder, const yaml_event_t *event)
{
	const char *decoration = find_decoration(event);

	if (++builder->nodes > NODES_MOST)
		return refuse(builder, &event->start_mark, "too many values: a configuration has at most four million");
	if (decoration)
		return refuse(builder, &event->start_mark, decoration);
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return refuse(builder, &event->start_mark, "aliases (*name) are not supported: write the value out");
	case YAML_SCALAR_EVENT:
		return add_scalar(builder, event);
	case YAML_SEQUENCE_START_EVENT:
		return open_collection(builder, YAML_LIST, event);
	case YAML_MAPPING_START_EVENT:
		return open_collection(builder, YAML_MAP, event);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		builder->depth--;
		return true;
	case YAML_DOCUMENT_START_EVENT:
		if (builder->tree->root)
			return refuse(builder, &event->start_mark, "a second document (---): one file holds one");
		return true;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return true;
	}
	return true;
}

/* Where the character begins that a byte of the text breaks: the parser names the byte. */
static size_t character_start(const char *text, size_t at)
{
	size_t start = at;

	while (start && at - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	return start && (unsigned char)text[start - 1] >= 0xc0 ? start - 1 : at;
}

static bool syntax_error(struct builder *builder)
{
	const yaml_parser_t *parser = &builder->parser;
	const char *what = parser->problem ? parser->problem : "not readable";
	yaml_mark_t mark = parser->problem_mark;
	uint32_t line, column;
	size_t start;

	if (parser->error == YAML_READER_ERROR) {
		/* The parser's own mark lies where it reads, far before what it has looked at. */
		start = parser->problem_offset;
		if (strstr(what, "trailing"))
			start = character_start(builder->text, start);
		problems_locate(builder->text, builder->bytes, start, &line, &column);
		problems_add(builder->problems, PROBLEM_ERROR, line, column, "not a text in UTF-8: %s (byte %zu)", what,
			     parser->problem_offset);
		return false;
	}
	/* A word without a colon is missed only at the end of its line or later. */
	if (parser->context && !strcmp(parser->context, "while scanning a simple key"))
		mark = parser->context_mark;
	problems_add(builder->problems, PROBLEM_ERROR, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1,
		     "not valid YAML: %s%s%s (tabs must not indent; a colon wants a blank behind it)", what,
		     parser->context ? ", " : "", parser->context ? parser->context : "");
	return false;
}

static bool build(struct builder *builder)
{
	for (;;) {
		yaml_event_t event;
		bool is_end, fine;

		if (!yaml_parser_parse(&builder->parser, &event))
			return syntax_error(builder);
		is_end = event.type == YAML_STREAM_END_EVENT;
		fine = take_event(builder, &event);
		yaml_event_delete(&event);
		if (!fine || is_end)
			return fine;
	}
}

static bool is_utf16(const char *text, size_t bytes)
{
	return bytes >= 2 && (!memcmp(text, "\xff\xfe", 2) || !memcmp(text, "\xfe\xff", 2));
}

struct yaml_tree *yaml_tree_read(const char *text, size_t bytes, struct problems *problems)
{
	struct builder builder = {.text = text, .bytes = bytes, .problems = problems};
	bool fine;

	if (is_utf16(text, bytes)) {
		problems_add(problems, PROBLEM_ERROR, 1, 1, "a text in UTF-16: save it as UTF-8");
		return NULL;
	}
	builder.tree = calloc(1, sizeof(struct yaml_tree));
	if (!builder.tree || !yaml_parser_initialize(&builder.parser))
		abort();
	yaml_parser_set_input_string(&builder.parser, (const unsigned char *)text, bytes);
	fine = build(&builder);
	yaml_parser_delete(&builder.parser);
	if (fine)
		return builder.tree;
	yaml_tree_free(builder.tree);
	return NULL;
}
