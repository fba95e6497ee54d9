/*
 * Compiles the parts of a program to bytecode: parts FROM TO NAME...
 * Each FROM/NAME is a module; TO gets its bytecode, under the same name. The source, columns and the names of
 * variables are left out. Lines are kept for the stack of an error: those of the files that the module was made
 * of, as FROM/NAME.lines has them.
 *
 * Not linked with the engine but made of its text: it changes what the engine has compiled.
 */
#include "quickjs.c"

/* The engine forbids itself these. */
#undef malloc
#undef free

/* A line of the module, in terms of the file that it came from; the file is JS_ATOM_NULL when it came from none. */
struct place { JSAtom file; int line; };
struct places { struct place *of; int count; };

/* What a part imports is another one: nothing is looked up here. */
static int nothing(JSContext *c, JSModuleDef *m) { return 0; }
static JSModuleDef *no_module(JSContext *c, const char *name, void *o) {
  return JS_NewCModule(c, name, nothing);
}

static int failed(const char *what) {
  perror(what);
  return 1;
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) return NULL;
  fseek(file, 0, SEEK_END);
  long length = ftell(file);
  rewind(file);
  char *text = length < 0 ? NULL : malloc(length + 1);
  if (text != NULL) {
    *size = fread(text, 1, length, file);
    text[*size] = 0;
  }
  fclose(file);
  return text;
}

/* Lines of a .lines file: `FILE LINE` for each line of the module, `- 0` for one that came from nowhere. */
static int read_places(JSContext *c, const char *path, struct places *places) {
  size_t size;
  char *text = read_file(path, &size);
  if (text == NULL) return failed(path);
  for (size_t i = 0; i < size; i++) places->count += text[i] == '\n';
  places->of = calloc(places->count + 1, sizeof *places->of);
  char *next = text;
  for (int i = 0; i < places->count; i++) {
    char *end = strchr(next, '\n'), *blank = memchr(next, ' ', end - next);
    if (blank == NULL) return failed(path);
    *end = 0;
    if (next[0] != '-') places->of[i].file = JS_NewAtomLen(c, next, blank - next);
    places->of[i].line = atoi(blank + 1);
    next = end + 1;
  }
  free(text);
  return 0;
}

static struct place place_of(const struct places *places, int line) {
  struct place none = {JS_ATOM_NULL, 0};
  return line >= 1 && line <= places->count ? places->of[line - 1] : none;
}

/* The table from places in the bytecode to lines (compute_pc2line_info), again, with lines only. */
static void map_lines(JSContext *c, JSFunctionBytecode *b, const struct places *places, int is_module) {
  const uint8_t *p = b->debug.pc2line_buf, *end = p + b->debug.pc2line_len;
  uint32_t value;
  int step, column;
  p += get_leb128(&value, p, end);
  int line = value + 1;
  p += get_leb128(&value, p, end);
  struct place first = place_of(places, line);
  /* The outermost function has lines of many files: they are those of the part. */
  int is_mapped = !is_module && first.file != JS_ATOM_NULL;
  if (is_mapped) {
    JS_FreeAtom(c, b->debug.filename);
    b->debug.filename = JS_DupAtom(c, first.file);
  }
  DynBuf out;
  js_dbuf_init(c, &out);
  int said = is_mapped ? first.line : line;
  dbuf_put_leb128(&out, said - 1);
  dbuf_put_leb128(&out, 0);
  uint32_t pc = 0, said_pc = 0;
  while (p < end) {
    unsigned op = *p++;
    if (op == 0) {
      p += get_leb128(&value, p, end);
      p += get_sleb128(&step, p, end);
      pc += value;
      line += step;
    } else {
      pc += (op - PC2LINE_OP_FIRST) / PC2LINE_RANGE;
      line += (int)((op - PC2LINE_OP_FIRST) % PC2LINE_RANGE) + PC2LINE_BASE;
    }
    p += get_sleb128(&column, p, end);
    struct place place = place_of(places, line);
    if (is_mapped && place.file != first.file) continue;
    int now = is_mapped ? place.line : line;
    if (now == said) continue;
    int by = now - said;
    uint32_t on = pc - said_pc;
    if (by >= PC2LINE_BASE && by < PC2LINE_BASE + PC2LINE_RANGE && on <= PC2LINE_DIFF_PC_MAX) {
      dbuf_putc(&out, (by - PC2LINE_BASE) + on * PC2LINE_RANGE + PC2LINE_OP_FIRST);
    } else {
      dbuf_putc(&out, 0);
      dbuf_put_leb128(&out, on);
      dbuf_put_sleb128(&out, by);
    }
    dbuf_put_sleb128(&out, 0);
    said = now;
    said_pc = pc;
  }
  js_free(c, b->debug.pc2line_buf);
  b->debug.pc2line_buf = out.buf;
  b->debug.pc2line_len = out.size;
}

/* Names of variables are for `eval`, which no part has, and for one error's text. */
static void strip(JSContext *c, JSFunctionBytecode *b, const struct places *places, int is_module) {
  if (b->vardefs != NULL) {
    for (int i = 0; i < b->arg_count + b->var_count; i++) JS_FreeAtom(c, b->vardefs[i].var_name);
    b->vardefs = NULL;
  }
  for (int i = 0; i < b->closure_var_count; i++) {
    JS_FreeAtom(c, b->closure_var[i].var_name);
    b->closure_var[i].var_name = JS_ATOM_NULL;
  }
  if (b->has_debug) map_lines(c, b, places, is_module);
  for (int i = 0; i < b->cpool_count; i++) {
    if (JS_VALUE_GET_TAG(b->cpool[i]) != JS_TAG_FUNCTION_BYTECODE) continue;
    strip(c, JS_VALUE_GET_PTR(b->cpool[i]), places, 0);
  }
}

static int compile_part(const char *name, const char *from, const char *to, const char *lines) {
  size_t size, length;
  char *text = read_file(from, &size);
  if (text == NULL) return failed(from);
  JSRuntime *rt = JS_NewRuntime();
  JSContext *c = JS_NewContext(rt);
  JS_SetModuleLoaderFunc(rt, NULL, no_module, NULL);
  JS_SetStripInfo(rt, JS_STRIP_SOURCE);
  JSValue module = JS_Eval(c, text, size, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
  if (JS_IsException(module)) {
    JSValue error = JS_GetException(c);
    fprintf(stderr, "%s: %s\n%s", name, JS_ToCString(c, error),
            JS_ToCString(c, JS_GetPropertyStr(c, error, "stack")));
    return 1;
  }
  struct places places = {0};
  if (read_places(c, lines, &places) != 0) return 1;
  JSModuleDef *def = JS_VALUE_GET_PTR(module);
  strip(c, JS_VALUE_GET_PTR(def->func_obj), &places, 1);
  uint8_t *bytes = JS_WriteObject(c, &length, module, JS_WRITE_OBJ_BYTECODE);
  FILE *file = bytes == NULL ? NULL : fopen(to, "wb");
  if (file == NULL || fwrite(bytes, 1, length, file) != length || fclose(file) != 0) return failed(to);
  /* The process ends soon: what is left is the kernel's. */
  free(text);
  return 0;
}

int main(int argc, char **argv) {
  for (int i = 3; i < argc; i++) {
    char from[4096], to[4096], lines[4096];
    snprintf(from, sizeof from, "%s/%s", argv[1], argv[i]);
    snprintf(to, sizeof to, "%s/%s", argv[2], argv[i]);
    snprintf(lines, sizeof lines, "%s/%s.lines", argv[1], argv[i]);
    if (compile_part(argv[i], from, to, lines) != 0) return 1;
  }
  return 0;
}
