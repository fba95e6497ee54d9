/*
 * Compiles the parts of a program to bytecode: parts FROM TO NAME...
 * Each FROM/NAME is a module; TO gets its bytecode, under the same name. The source is left out, lines are
 * kept for the stack of an error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quickjs.h>

/* What a part imports is another one: nothing is looked up here. */
static int nothing(JSContext *c, JSModuleDef *m) { return 0; }
static JSModuleDef *none(JSContext *c, const char *name, void *o) {
  return JS_NewCModule(c, name, nothing);
}

static int fail(const char *what) {
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

static int compile(const char *name, const char *from, const char *to) {
  size_t size, length;
  char *text = read_file(from, &size);
  if (text == NULL) return fail(from);
  JSRuntime *rt = JS_NewRuntime();
  JSContext *c = JS_NewContext(rt);
  JS_SetModuleLoaderFunc(rt, NULL, none, NULL);
  JS_SetStripInfo(rt, JS_STRIP_SOURCE);
  JSValue module = JS_Eval(c, text, size, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
  if (JS_IsException(module)) {
    JSValue error = JS_GetException(c);
    fprintf(stderr, "%s: %s\n%s", name, JS_ToCString(c, error),
            JS_ToCString(c, JS_GetPropertyStr(c, error, "stack")));
    return 1;
  }
  uint8_t *bytes = JS_WriteObject(c, &length, module, JS_WRITE_OBJ_BYTECODE);
  FILE *file = bytes == NULL ? NULL : fopen(to, "wb");
  if (file == NULL || fwrite(bytes, 1, length, file) != length || fclose(file) != 0) return fail(to);
  js_free(c, bytes);
  JS_FreeValue(c, module);
  JS_FreeContext(c);
  JS_FreeRuntime(rt);
  free(text);
  return 0;
}

int main(int argc, char **argv) {
  for (int i = 3; i < argc; i++) {
    char from[4096], to[4096];
    snprintf(from, sizeof from, "%s/%s", argv[1], argv[i]);
    snprintf(to, sizeof to, "%s/%s", argv[2], argv[i]);
    if (compile(argv[i], from, to) != 0) return 1;
  }
  return 0;
}
