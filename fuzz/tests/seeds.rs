//! Every seed through its target, without libFuzzer: what was found once stays found.

use std::path::Path;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");

fn try_seeds(folders: &[&str], target: fn(&[u8])) {
    let mut tried = 0;
    for folder in folders {
        for entry in std::fs::read_dir(Path::new(CORPUS).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "bin") {
                target(&std::fs::read(&path).unwrap());
                tried += 1;
            }
        }
    }
    assert!(tried > 0, "{folders:?} has seeds");
}

macro_rules! seeds {
    ($($target:ident: $($folder:literal),+;)*) => {$(
        #[test]
        fn $target() {
            try_seeds(&[$($folder),+], rserpool_fuzz::$target);
        }
    )*};
}

seeds! {
    parse_asap: "parse_asap";
    parse_enrp: "parse_enrp";
    parse_param: "parse_param";
    roundtrip: "roundtrip";
    deframer: "deframer";
    differential: "parse_asap", "parse_enrp";
    element_ops: "element_ops";
    user_ops: "user_ops";
    registrar_ops: "registrar_ops";
    pair_ops: "pair_ops";
}
