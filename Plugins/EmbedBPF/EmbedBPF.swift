import Foundation
import PackagePlugin

/// Compiles every `bpf/*.bpf.c` with the toolchain's own clang, strips debug information (BTF
/// stays), and writes the object into a Swift source, so that `swift build` alone makes a binary
/// that carries its programs.
@main
struct EmbedBPF: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) async throws -> [Command] {
        let sourceFolder = context.package.directoryURL.appending(path: "bpf")
        let headerFolder = sourceFolder.appending(path: "include")
        let headers =
            try files(in: sourceFolder, ending: ".h") + files(in: headerFolder, ending: ".h")
        return try files(in: sourceFolder, ending: ".bpf.c").map { source in
            try command(for: source, headers: headers, context: context)
        }
    }

    /// One command for the three steps, because SwiftPM takes a declared object for a resource.
    private func command(
        for source: URL,
        headers: [URL],
        context: PluginContext
    ) throws -> Command {
        let name = String(source.lastPathComponent.dropLast(".bpf.c".count))
        let object = context.pluginWorkDirectoryURL.appending(path: "\(name).bpf.o")
        let swift = context.pluginWorkDirectoryURL.appending(path: "\(name)Object.swift")
        let script = """
            clang=$1 objcopy=$2 embed=$3 source=$4 object=$5 swift=$6 name=$7
            shift 7
            "$clang" "$@" -c "$source" -o "$object"
            "$objcopy" --strip-debug "$object"
            "$embed" "$object" "$swift" "$name"
            """
        let paths = [
            try context.tool(named: "clang").url.path(),
            try context.tool(named: "llvm-objcopy").url.path(),
            try context.tool(named: "bpfembed").url.path(),
            source.path(), object.path(), swift.path(), "\(name)Object",
        ]
        return .buildCommand(
            displayName: "Embed \(source.lastPathComponent)",
            executable: URL(filePath: "/bin/sh"),
            arguments: ["-euc", script, "embed"] + paths + compilerFlags,
            inputFiles: [source] + headers + [try context.tool(named: "bpfembed").url],
            outputFiles: [swift]
        )
    }

    /// Freestanding, so that no header of the C library is read; the kernel's `asm/` headers lie in
    /// the folder of the architecture.
    private var compilerFlags: [String] {
        #if arch(arm64)
            let architecture = "aarch64"
        #else
            let architecture = "x86_64"
        #endif
        return [
            "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-ffreestanding", "-Wall", "-Wextra",
            "-Werror", "-idirafter", "/usr/include/\(architecture)-linux-gnu",
        ]
    }

    private func files(in folder: URL, ending suffix: String) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.lastPathComponent.hasSuffix(suffix) }
            .sorted { $0.path() < $1.path() }
    }
}
