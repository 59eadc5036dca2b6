package syntax

// The languages. Each list of words is that of the language's own reference; a word that is
// missing costs a colour.

var (
	double = quote{open: `"`, close: `"`, escape: true}
	single = quote{open: `'`, close: `'`, escape: true}
	triple = quote{open: `"""`, close: `"""`, escape: true, lines: true}
)

var languages = []struct {
	names, endings string
	is             *language
}{
	{"go golang", ".go", golang}, {"c h", ".c .h .idc", c}, {"c++ cpp cc cxx hpp", ".cc .cpp .cxx .c++ .hh .hpp .hxx .h++ .ipp .inl", cpp},
	{"java", ".java", java}, {"kotlin kt", ".kt .kts", kotlin}, {"c# csharp cs", ".cs", csharp},
	{"javascript js node", ".js .mjs .cjs", javascript}, {"typescript ts", ".ts .mts .cts", typescript},
	{"rust rs", ".rs", rustlang}, {"python py python3", ".py .pyi .pyw", python},
	{"shell sh bash zsh ksh", ".sh .bash .zsh .ksh", shells}, {"sql postgresql sqlite mysql", ".sql", sql},
	{"json jsonc", ".json .webmanifest .jsonl", json}, {"protobuf proto", ".proto", proto},
}

var golang = &language{
	line: []string{"//"}, open: "/*", close: "*/", calls: true, functions: true, members: true,
	quotes: []quote{{open: "`", close: "`", lines: true}, double, single},
	words: words(keyword, `break case chan const continue default defer else fallthrough for func go goto if import interface map package
		range return select struct switch type var true false iota nil`,
		typeName, `any bool byte comparable complex64 complex128 error float32 float64 int int8 int16 int32 int64 rune string uint uint8 uint16
		uint32 uint64 uintptr`,
		builtin, "append cap clear close complex copy delete imag len make max min new panic print println real recover"),
}

var cWords = words(keyword, `auto break case const continue default do else enum extern for goto if inline register restrict return sizeof
	static struct switch typedef union volatile while _Alignas _Alignof _Atomic _Generic _Noreturn _Static_assert _Thread_local
	__attribute__ __inline __inline__ __asm__ asm NULL true false`,
	typeName, `bool char double float int long short signed unsigned void _Bool _Complex size_t ssize_t ptrdiff_t wchar_t off_t time_t
	int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t intptr_t uintptr_t intmax_t uintmax_t va_list FILE`)

var c = &language{
	line: []string{"//"}, open: "/*", close: "*/", calls: true, quotes: []quote{double, single}, words: cWords, hook: directive,
}

var cpp = &language{
	line: []string{"//"}, open: "/*", close: "*/", calls: true, ticks: true, quotes: []quote{double, single}, hook: rawC,
	words: and(cWords, words(keyword, `alignas alignof and bitand bitor catch class co_await co_return co_yield compl concept const_cast
		consteval constexpr constinit decltype delete dynamic_cast explicit export final friend mutable namespace new noexcept not
		not_eq nullptr operator or override private protected public reinterpret_cast requires static_assert static_cast template
		this thread_local throw try typeid typename using virtual xor`, typeName, "char8_t char16_t char32_t")),
	declares: words(class, "class struct", class, "enum"),
}

var java = &language{
	line: []string{"//"}, open: "/*", close: "*/", calls: true, members: true, extra: "$", quotes: []quote{triple, double, single}, hook: annotated,
	words: words(keyword, `abstract assert break case catch class const continue default do else enum extends final finally for goto if
		implements import instanceof interface native new non-sealed package permits private protected public record return sealed static
		strictfp super switch synchronized this throw throws transient try var volatile while yield true false null`,
		typeName, "boolean byte char double float int long short void"),
	declares: words(class, "class interface enum record"),
}

var kotlin = &language{
	line: []string{"//"}, open: "/*", close: "*/", nested: true, calls: true, members: true, hook: annotated,
	quotes: []quote{
		{open: `"""`, close: `"""`, lines: true, inside: "${", outside: '}'},
		{open: `"`, close: `"`, escape: true, inside: "${", outside: '}'}, single,
	},
	words: words(keyword, `abstract actual annotation as break by catch class companion const constructor continue crossinline data do else
		enum expect external final finally for fun if import in infix init inline inner interface internal is lateinit noinline null object
		open operator out override package private protected public reified return sealed super suspend tailrec this throw try typealias
		val var vararg when where while true false`,
		typeName, "Any Boolean Byte Char Double Float Int Long Nothing Short String Unit UInt ULong"),
	declares: words(class, "class interface object", function, "fun"),
}

var csharp = &language{
	line: []string{"//"}, open: "/*", close: "*/", calls: true, members: true, hook: directive,
	quotes: []quote{
		{open: `@"`, close: `"`, doubled: true, lines: true}, {open: `$@"`, close: `"`, doubled: true, lines: true},
		{open: `"""`, close: `"""`, lines: true}, {open: `$"`, close: `"`, escape: true}, double, single,
	},
	words: words(keyword, `abstract as async await base break case catch checked class const continue default delegate do else enum event
		explicit extern false finally fixed for foreach get goto if implicit in init interface internal is lock namespace new null operator
		out override params partial private protected public readonly record ref required return sealed set sizeof stackalloc static struct
		switch this throw true try typeof unchecked unsafe using var virtual volatile when where while yield`,
		typeName, "bool byte char decimal double dynamic float int long nint nuint object sbyte short string uint ulong ushort void"),
	declares: words(class, "class interface struct enum record"),
}

var jsWords = words(keyword, `async await break case catch class const continue debugger default delete do else export extends finally for
	from function get if import in instanceof let new of return set static super switch this throw try typeof var void while with yield
	true false null undefined NaN Infinity`,
	builtin, `Array BigInt Boolean Date Error Function JSON Map Math Number Object Promise Proxy Reflect RegExp Set String Symbol WeakMap WeakSet
	console document globalThis window`)

var jsQuotes = []quote{{open: "`", close: "`", escape: true, lines: true, inside: "${", outside: '}'}, double, single}

var javascript = &language{
	line: []string{"//"}, open: "/*", close: "*/", calls: true, members: true, extra: "$#", quotes: jsQuotes, words: jsWords, hook: script,
	declares: words(class, "class", function, "function"),
}

var typescript = &language{
	line: []string{"//"}, open: "/*", close: "*/", calls: true, members: true, extra: "$#", quotes: jsQuotes, hook: script,
	words: and(jsWords, words(keyword, `abstract as asserts declare enum implements infer interface is keyof module namespace override private
		protected public readonly satisfies type unique`,
		typeName, "any bigint boolean never number object string symbol unknown void")),
	declares: words(class, "class interface enum", function, "function"),
}

var rustlang = &language{
	line: []string{"//"}, open: "/*", close: "*/", nested: true, calls: true, members: true, hook: rust,
	quotes: []quote{{open: `"`, close: `"`, escape: true, lines: true}, single},
	words: words(keyword, `as async await break const continue crate dyn else enum extern fn for if impl in let loop match mod move mut pub
		ref return self Self static struct super trait type union unsafe use where while yield true false`,
		typeName, "bool char f32 f64 i8 i16 i32 i64 i128 isize str u8 u16 u32 u64 u128 usize String Vec Option Result Box"),
	declares: words(class, "struct enum trait union", function, "fn"),
}

var python = &language{
	line: []string{"#"}, calls: false, members: true, hook: annotated,
	quotes: []quote{triple, {open: `'''`, close: `'''`, escape: true, lines: true}, double, single},
	words: words(keyword, `False None True and as assert async await break case class continue def del elif else except finally for from
		global if import in is lambda match nonlocal not or pass raise return try while with yield`,
		builtin, `abs all any ascii bin bool bytearray bytes callable chr classmethod compile complex delattr dict dir divmod enumerate eval
		exec filter float format frozenset getattr globals hasattr hash hex id input int isinstance issubclass iter len list locals map max
		memoryview min next object oct open ord pow print property range repr reversed round set setattr slice sorted staticmethod str sum
		super tuple type vars zip __import__ self cls`),
	declares: words(class, "class", function, "def"),
}

var shells = &language{
	quotes: []quote{{open: `'`, close: `'`, lines: true}, {open: `"`, close: `"`, escape: true, lines: true, inside: "$(", outside: ')'}},
	words: words(keyword, "case do done elif else esac fi for function if in select then time until while",
		builtin, `alias bg break builtin cd command continue declare dirs disown echo eval exec exit export false fg getopts hash history jobs
		kill let local printf pushd popd pwd read readonly return set shift source test times trap true type typeset ulimit umask unalias
		unset wait`),
	extra: "-", hook: shell,
}

var sql = &language{
	line: []string{"--"}, open: "/*", close: "*/", nested: true, fold: true,
	quotes: []quote{{open: `'`, close: `'`, doubled: true, lines: true}, {open: `"`, close: `"`, doubled: true, lines: true}},
	words: words(keyword, `add all alter analyze and any as asc begin between by cascade case check collate column commit conflict constraint
		create cross current_date current_timestamp cursor database default deferrable delete desc distinct do drop else end escape except
		exclude exists explain false fetch filter for foreign from full function grant group having if ignore immediate in index inner insert
		instead intersect into is isnull join key language lateral left like limit materialized natural no not nothing notnull null nulls of
		offset on only or order outer over partition plan pragma primary procedure references reindex release rename replace returning revoke
		right rollback row rows savepoint schema select sequence set table temp temporary then to transaction trigger true truncate union
		unique update using vacuum values view virtual when where window with without`,
		typeName, `array bigint bigserial bit blob bool boolean bytea char character date decimal double float float4 float8 int int2 int4 int8
		integer interval json jsonb numeric precision real serial smallint text time timestamp timestamptz tinyint uuid varchar`),
}

var json = &language{
	line: []string{"//"}, open: "/*", close: "*/", keys: true, quotes: []quote{double}, words: words(keyword, "true false null"),
}

var proto = &language{
	line: []string{"//"}, open: "/*", close: "*/", quotes: []quote{double, single},
	words: words(keyword, `edition enum extend extensions group import map message oneof option optional package public repeated required
		reserved returns rpc service stream syntax to true false weak`,
		typeName, "bool bytes double fixed32 fixed64 float int32 int64 sfixed32 sfixed64 sint32 sint64 string uint32 uint64"),
	declares: words(class, "message enum service", function, "rpc"),
}
