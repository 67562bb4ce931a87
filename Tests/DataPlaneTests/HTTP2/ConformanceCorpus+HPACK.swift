/// RFC 7541: header compression.
extension ConformanceCorpus {
    /// GET http / by static indices, and an authority without indexing.
    private static let start: [UInt8] = [0x82, 0x86, 0x84, 0x01, 9] + Array("a.example".utf8)
    private static func broken(_ section: String, _ name: String, _ block: [UInt8])
        -> ConformanceCase
    {
        ConformanceCase("H" + section, name, .connection(.compression), Wire.block(1, block))
    }
    private static func good(_ section: String, _ name: String, _ block: [UInt8])
        -> ConformanceCase
    {
        ConformanceCase("H" + section, name, .status(1, "200"), Wire.block(1, block))
    }

    static let compression: [ConformanceCase] = [
        broken("2.3.3", "an index past both tables", start + [0xc6]),
        broken("2.3.3", "a name's index past both tables", start + [0x7e, 1, 0x61]),
        good("2.3.3", "an entry of the dynamic table", start + [0x40, 1, 0x78, 1, 0x79, 0xbe]),
        broken("6.1", "index 0", start + [0x80]),
        broken("4.2", "a table size behind fields", start + [0x20]),
        good("4.2", "table sizes before fields", [0x20, 0x3f, 0xe1, 0x1f] + start),
        broken("6.3", "a table size past the limit", [0x3f, 0xe2, 0x1f] + start),
        good("6.3", "a table size of 0", [0x20] + start),
        broken(
            "4.4",
            "an entry dropped with the table",
            [0x40, 1, 0x78, 1, 0x79] + start + [0x20, 0xbe]
        ),
        good(
            "4.4",
            "an entry larger than the table empties it",
            start + [0x40, 1, 0x78, 0x7f, 0x91, 0x1f] + [UInt8](repeating: 0x61, count: 4_112)
        ),
        broken(
            "5.1",
            "an integer of too many bytes",
            start + [0xff] + [UInt8](repeating: 0xff, count: 10) + [0x01]
        ),
        broken(
            "5.1",
            "an integer padded by zeros without end",
            start + [0xff] + [UInt8](repeating: 0x80, count: 10) + [0x00]
        ),
        broken("5.1", "an integer that its block cuts off", start + [0xff, 0x80]),
        broken(
            "5.1",
            "a string's length past 32 bits",
            start + [0x00, 1, 0x78, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]
        ),
        broken(
            "5.1",
            "a table size past 32 bits",
            [0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f] + start
        ),
        broken("5.1", "an integer past 32 bits", start + [0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        broken("5.2", "a string longer than its block", start + [0x00, 1, 0x78, 0x7f, 0x20]),
        broken("5.2", "a block that ends within a field", start + [0x00, 1, 0x78]),
        good("5.2", "a Huffman string", start + [0x00, 1, 0x78, 0x81, 0x1f]),
        good("5.2", "a Huffman string with padding of ones", start + [0x00, 1, 0x78, 0x81, 0x07]),
        broken("5.2", "Huffman padding of zeros", start + [0x00, 1, 0x78, 0x81, 0x18]),
        broken(
            "5.2",
            "Huffman padding of a whole byte",
            start + [0x00, 1, 0x78, 0x82, 0x1f, 0xff]
        ),
        broken(
            "5.2",
            "Huffman padding of seven bits too many",
            start + [0x00, 1, 0x78, 0x83, 0x1f, 0xff, 0xff]
        ),
        broken(
            "5.2",
            "the end symbol in a Huffman string",
            start + [0x00, 1, 0x78, 0x84, 0xff, 0xff, 0xff, 0xff]
        ),
        broken(
            "5.2",
            "the end symbol in a Huffman name",
            start + [0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 1, 0x79]
        ),
        broken("5.2", "Huffman padding of zeros in a name", start + [0x00, 0x81, 0x18, 1, 0x79]),
        broken(
            "5.2",
            "the end symbol behind symbols",
            start + [0x00, 1, 0x78, 0x85, 0x1f, 0xff, 0xff, 0xff, 0xff]
        ),
        broken(
            "5.2",
            "a Huffman string of padding alone",
            start + [0x00, 1, 0x78, 0x81, 0xff]
        ),
        good("5.2", "an empty Huffman string", start + [0x00, 1, 0x78, 0x80]),
        broken(
            "4.4",
            "an entry that others have driven out",
            [0x3f, 0x1b] + start + [0x40, 1, 0x78, 1, 0x79, 0x40, 1, 0x7a, 1, 0x79, 0xbf]
        ),
        good(
            "4.4",
            "the entry that has driven others out",
            [0x3f, 0x1b] + start + [0x40, 1, 0x78, 1, 0x79, 0x40, 1, 0x7a, 1, 0x79, 0xbe]
        ),
        good(
            "4.4",
            "a name of the entry that its own field drives out",
            [0x3f, 0x1b] + start + [0x40, 1, 0x78, 1, 0x79, 0x7e, 1, 0x7a]
        ),
        good("6.2.1", "a field with incremental indexing", start + [0x40, 1, 0x78, 1, 0x79]),
        good("6.2.1", "an indexed name with incremental indexing", start + [0x7a, 1, 0x61]),
        good("6.2.2", "a field without indexing", start + [0x00, 1, 0x78, 1, 0x79]),
        good("6.2.2", "an indexed name without indexing", start + [0x0f, 0x2b, 1, 0x61]),
        good("6.2.3", "a field never indexed", start + [0x10, 1, 0x78, 1, 0x79]),
        good("6.2.3", "an indexed name never indexed", start + [0x1f, 0x2b, 1, 0x61]),
        ConformanceCase(
            "H2.2",
            "the table lives from block to block",
            .status(3, "200"),
            Wire.block(1, start + [0x40, 1, 0x78, 1, 0x79]),
            Wire.block(3, start + [0xbe])
        ),
        ConformanceCase(
            "H4.2",
            "the least of two table sizes has emptied it",
            .connection(.compression),
            Wire.block(1, start + [0x40, 1, 0x78, 1, 0x79]),
            Wire.block(3, [0x20, 0x3f, 0xe1, 0x1f] + start + [0xbe])
        ),
        ConformanceCase(
            "H4.2",
            "a table size as it was leaves the table",
            .status(3, "200"),
            Wire.block(1, start + [0x40, 1, 0x78, 1, 0x79]),
            Wire.block(3, [0x3f, 0xe1, 0x1f] + start + [0xbe])
        ),
        ConformanceCase(
            "H5.2",
            "upper case in a Huffman name",
            .stream(1, .protocolError),
            Wire.block(1, start + [0x00, 0x81, 0xfc, 1, 0x79])
        ),
        ConformanceCase(
            "H2.2",
            "the table lives on in trailers",
            .status(1, "200"),
            F.frame(1, 4, 1, [0x83] + start.dropFirst() + [0x40, 1, 0x78, 1, 0x79]),
            F.frame(1, 5, 1, [0xbe])
        ),
        ConformanceCase(
            "H2.2",
            "the table is kept past a malformed request",
            .status(3, "200"),
            Wire.block(1, start + [0x40, 1, 0x58, 1, 0x79, 0x40, 1, 0x78, 1, 0x79]),
            Wire.block(3, start + [0xbe])
        ),
        ConformanceCase(
            "H2.2",
            "the table is kept past a list that is too long",
            .status(3, "200"),
            F.frame(
                1,
                1,
                1,
                start + [0x00, 1, 0x78, 0x7f, 0x81, 0x7b]
                    + [UInt8](repeating: 0x61, count: 15_872)
            ),
            F.frame(
                9,
                4,
                1,
                [0x00, 1, 0x78, 0x7f, 0x81, 0x7b]
                    + [UInt8](repeating: 0x61, count: 15_872) + [0x40, 1, 0x78, 1, 0x79]
            ),
            Wire.block(3, start + [0xbe])
        ),
    ]
}
