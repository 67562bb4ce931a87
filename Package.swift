// swift-tools-version: 6.2
import PackageDescription

/// Settings of every Swift target: language mode 6, strict memory safety, warnings are errors.
let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableExperimentalFeature("Lifetimes"),
]

/// Settings of the data path: exclusive access is checked at run time in debug builds, where every
/// test runs, and not in release builds, where the checks cost a quarter of a request.
let dataPathSettings =
    swiftSettings + [
        .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
    ]

/// A module of the agent under `Sources/`, with the edges that ARCHITECTURE.md draws.
func module(
    _ name: String,
    _ dependencies: [Target.Dependency],
    _ settings: [SwiftSetting] = swiftSettings,
    plugins: [Target.PluginUsage] = []
) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings, plugins: plugins)
}

/// The tests of one module; every one may use the shared test support.
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: "\(name)Tests",
        dependencies: dependencies + ["TestSupport", "LinuxSystem", "Addressing"],
        swiftSettings: swiftSettings
    )
}

/// A system library found through pkg-config.
func library(_ name: String, _ pkgConfig: String, _ debianPackage: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([debianPackage])])
}

let package = Package(
    name: "martlet",
    products: [
        .executable(name: "martlet", targets: ["NodeAgent"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        library("COpenSSL", "openssl", "libssl-dev"),
        library("CNghttp2", "libnghttp2", "libnghttp2-dev"),
        library("CLibBPF", "libbpf", "libbpf-dev"),
        library("CLibMNL", "libmnl", "libmnl-dev"),
        library("CLibYAML", "yaml-0.1", "libyaml-dev"),
        library("CZlib", "zlib", "zlib1g-dev"),
        library("CBrotli", "libbrotlienc", "libbrotli-dev"),
        library("CZstd", "libzstd", "libzstd-dev"),
        .target(name: "CLinux"),
        .target(name: "CByteScan"),
        .target(name: "CMeshMaps", path: "bpf/include", publicHeadersPath: "."),

        module("Addressing", []),
        module("Telemetry", ["Addressing", .product(name: "Logging", package: "swift-log")]),
        module("MeshModel", ["Addressing"]),
        module("TrafficPolicy", ["Addressing", "MeshModel"]),
        module("LinuxSystem", ["Addressing", "CLinux", "CLibMNL"]),
        module(
            "DataPlane",
            [
                "Addressing", "Telemetry", "LinuxSystem", "MeshModel", "TrafficPolicy", "COpenSSL",
                "CNghttp2", "CByteScan",
            ],
            dataPathSettings
        ),
        module(
            "L4Proxy",
            ["Addressing", "Telemetry", "DataPlane", "LinuxSystem", "MeshModel", "TrafficPolicy"]
        ),
        module("Ingress", ["Addressing", "Telemetry", "DataPlane", "L4Proxy", "MeshModel"]),
        module(
            "Sidecar",
            [
                "Addressing", "Telemetry", "DataPlane", "L4Proxy", "LinuxSystem", "MeshModel",
                "TrafficPolicy",
            ]
        ),
        module(
            "Discovery",
            ["Addressing", "Telemetry", "DataPlane", "LinuxSystem", "MeshModel", "CLibYAML"]
        ),
        .plugin(
            name: "EmbedBPF",
            capability: .buildTool(),
            dependencies: ["bpfembed"]
        ),
        .executableTarget(
            name: "bpfembed",
            dependencies: ["LinuxSystem"],
            path: "Plugins/bpfembed",
            swiftSettings: swiftSettings
        ),
        module(
            "XDPEngine",
            [
                "Addressing", "Telemetry", "LinuxSystem", "MeshModel", "TrafficPolicy", "CLibBPF",
                "CMeshMaps",
            ],
            plugins: ["EmbedBPF"]
        ),
        module(
            "PluginRuntime",
            [
                "Addressing", "Telemetry", "DataPlane", "MeshModel", "TrafficPolicy", "CZlib",
                "CBrotli", "CZstd",
            ]
        ),
        .executableTarget(
            name: "NodeAgent",
            dependencies: [
                "Addressing", "Telemetry", "MeshModel", "TrafficPolicy", "LinuxSystem", "DataPlane",
                "L4Proxy", "Ingress", "Sidecar", "Discovery", "XDPEngine", "PluginRuntime",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings
        ),

        .target(
            name: "TestSupport",
            dependencies: ["Addressing", "LinuxSystem", "DataPlane", "COpenSSL", "CNghttp2"],
            path: "Tests/TestSupport",
            swiftSettings: swiftSettings
        ),
        tests("Addressing", []),
        tests("Telemetry", ["Telemetry"]),
        tests("MeshModel", ["MeshModel"]),
        tests("TrafficPolicy", ["MeshModel", "TrafficPolicy"]),
        tests("LinuxSystem", []),
        tests("DataPlane", ["DataPlane", "MeshModel", "TrafficPolicy", "Telemetry", "COpenSSL"]),
        tests("L4Proxy", ["L4Proxy", "DataPlane", "MeshModel"]),
        tests("Ingress", ["Ingress", "DataPlane", "MeshModel"]),
        tests("Sidecar", ["Sidecar", "DataPlane", "L4Proxy", "MeshModel"]),
        tests("Discovery", ["Discovery", "DataPlane", "MeshModel"]),
        tests("XDPEngine", ["XDPEngine", "MeshModel", "TrafficPolicy", "CMeshMaps"]),
        tests("PluginRuntime", ["PluginRuntime", "DataPlane", "MeshModel", "TrafficPolicy"]),
        tests("NodeAgent", ["NodeAgent", "MeshModel"]),
        tests("Deploy", ["Discovery", "MeshModel"]),
        tests("Tidy", []),
    ]
)

// Fuzz targets need libFuzzer's runtime at link time; `make fuzz` asks for them.
if Context.environment["MARTLET_FUZZ"] != nil {
    package.targets += [
        .target(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
        .executableTarget(
            name: "MartletFuzz",
            dependencies: ["CFuzzer", "DataPlane", "Discovery"],
            path: "Tests/Fuzz/MartletFuzz",
            swiftSettings: swiftSettings
        ),
    ]
}
