"""Small trees of the layouts in which corpora are published."""

import json

import numpy as np
import soundfile

APP = "0D1AD73E-4C5E-45F3-85C4-9A3CB71E8856"
ICBHI = "101_1b1_Pl_sc_LittC2SE_segment"
VIDEO = "AAAAAAAAAA{}"


def write(root, tree):
    """Texts as they are; None is a second of noise."""
    for i, (name, content) in enumerate(tree.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            wave = 0.1 * np.random.default_rng(i).normal(size=8000)
            soundfile.write(path, wave, 8000)
        else:
            path.write_text(content)
    return root


def nsynth(family, instrument):
    return json.dumps(
        {
            f"{instrument}-060-075": {
                "instrument_family_str": family,
                "instrument_str": instrument,
                "instrument_source_str": "acoustic",
            }
        }
    )


# corpus: files, then path -> (label, group, split) of what should be found
TREES = {
    "donateacry": (
        {
            f"hungry/{APP.lower()}-1430738409-1.0-m-04-hu.wav": None,
            f"tired/{APP[:-1]}7-14-1.7-f-72-ti.wav": None,
        },
        {
            f"hungry/{APP.lower()}-1430738409-1.0-m-04-hu.wav": ("hungry", APP, ""),
            f"tired/{APP[:-1]}7-14-1.7-f-72-ti.wav": ("tired", f"{APP[:-1]}7", ""),
        },
    ),
    "esc": (
        {
            "meta/esc50.csv": "filename,fold,target,category,esc10,src_file,take\n"
            "1-7-A-0.wav,1,0,dog,True,7,A\n2-8-A-5.wav,2,5,cat,False,8,A\n",
            "audio/1-7-A-0.wav": None,
            "audio/2-8-A-5.wav": None,
        },
        {"audio/1-7-A-0.wav": ("dog", "7", "fold1"), "audio/2-8-A-5.wav": ("cat", "8", "fold2")},
    ),
    "fsdd": (
        {"recordings/3_ann_0.wav": None, "recordings/7_bob_12.wav": None, "recordings/x.wav": None},
        {"recordings/3_ann_0.wav": ("3", "ann", ""), "recordings/7_bob_12.wav": ("7", "bob", "")},
    ),
    "icbhi": (
        {
            "101_1b1_Al_sc_Meditron.wav": None,
            "101_1b1_Al_sc_Meditron.txt": "0\t0.5\t0\t0\n",
            "102_1b1_Ar_mc_LittC2SE.wav": None,
            "102_1b1_Ar_mc_LittC2SE.txt": "0.1\t0.9\t1\t1\n",
            "ICBHI_challenge_train_test.txt": "101_1b1_Al_sc_Meditron\ttrain\n102_1b1_Ar_mc_LittC2SE\ttest\n",
        },
        {
            "101_1b1_Al_sc_Meditron.wav": ("normal", "101", "train"),
            "102_1b1_Ar_mc_LittC2SE.wav": ("both", "102", "test"),
        },
    ),
    "fsdnoisy18k": (
        {
            "FSDnoisy18k.meta/train.csv": "fname,label,aso_id,manually_verified,noisy_small\n"
            "17.wav,Fire,/m/x,1,0\n18.wav,Rain,/m/y,0,1\n",
            "FSDnoisy18k.meta/test.csv": "fname,label,aso_id\n19.wav,Fire,/m/x\n",
            "FSDnoisy18k.audio_train/17.wav": None,
            "FSDnoisy18k.audio_train/18.wav": None,
            "FSDnoisy18k.audio_test/19.wav": None,
        },
        {
            "FSDnoisy18k.audio_train/17.wav": ("Fire", "17", "val"),
            "FSDnoisy18k.audio_train/18.wav": ("Rain", "18", "train"),
            "FSDnoisy18k.audio_test/19.wav": ("Fire", "19", "test"),
        },
    ),
    "vggsound": (
        {
            "vggsound.csv": 'AAAAAAAAAA1,30,"dog, barking",train\nAAAAAAAAAA2,0,rain,test\ngone,1,x,test\n',
            "wav/AAAAAAAAAA1_000030.wav": None,
            "wav/AAAAAAAAAA2_000000.wav": None,
        },
        {
            "wav/AAAAAAAAAA1_000030.wav": ("dog, barking", VIDEO.format(1), "train"),
            "wav/AAAAAAAAAA2_000000.wav": ("rain", VIDEO.format(2), "test"),
        },
    ),
    "audioset": (
        {
            "balanced_train_segments.csv": '# a\n# b\n--vid1, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n',
            "eval_segments.csv": '# a\nvid2, 0.000, 10.000, "/m/x"\n',
            "audio/Y--vid1.wav": None,
            "audio/vid2_0.000.wav": None,
        },
        {
            "audio/Y--vid1.wav": ("", "--vid1", "train"),
            "audio/vid2_0.000.wav": ("", "vid2", "test"),
        },
    ),
    "fsd50k": (
        {
            "FSD50K.ground_truth/dev.csv": 'fname,labels,mids,split\n1,"Bark,Dog",m,train\n2,Rain,m,val\n',
            "FSD50K.ground_truth/eval.csv": "fname,labels,mids\n3,Rain,m\n",
            "FSD50K.metadata/dev_clips_info_FSD50K.json": '{"1": {"uploader": "ann"}, "2": {"uploader": 7}}',
            "FSD50K.dev_audio/1.wav": None,
            "FSD50K.dev_audio/2.wav": None,
            "FSD50K.eval_audio/3.wav": None,
        },
        {
            "FSD50K.dev_audio/1.wav": ("", "ann", "train"),
            "FSD50K.dev_audio/2.wav": ("Rain", "7", "val"),
            "FSD50K.eval_audio/3.wav": ("Rain", "3", "test"),
        },
    ),
    "speech_commands": (
        {
            "yes/aa_nohash_0.wav": None,
            "bed/bb_nohash_0.wav": None,
            "bed/cc_nohash_1.wav": None,
            "validation_list.txt": "bed/bb_nohash_0.wav\n",
            "testing_list.txt": "bed/cc_nohash_1.wav\n",
            "_background_noise_/pink.wav": None,
        },
        {
            "yes/aa_nohash_0.wav": ("yes", "aa", "train"),
            "bed/bb_nohash_0.wav": ("bed", "bb", "val"),
            "bed/cc_nohash_1.wav": ("bed", "cc", "test"),
        },
    ),
    "speech_commands12": (
        {
            "yes/aa_nohash_0.wav": None,
            "bed/cc_nohash_1.wav": None,
            "validation_list.txt": "",
            "testing_list.txt": "bed/cc_nohash_1.wav\n",
            "_background_noise_/pink.wav": None,
        },
        {
            "yes/aa_nohash_0.wav": ("yes", "aa", "train"),
            "bed/cc_nohash_1.wav": ("unknown", "cc", "test"),
            "_background_noise_/pink.wav": ("silence", "_background_noise_/pink.wav", "train"),
        },
    ),
    "librispeech": (
        {
            "train-clean-100/19/198/19-198-0001.flac": None,
            "train-clean-100/26/495/26-495-0000.flac": None,
        },
        {
            "train-clean-100/19/198/19-198-0001.flac": ("19", "19-198", ""),
            "train-clean-100/26/495/26-495-0000.flac": ("26", "26-495", ""),
        },
    ),
    "voxceleb1": (
        {
            "iden_split.txt": "1 id10001/vid/00001.wav\n3 id10001/new/00002.wav\n",
            "wav/id10001/vid/00001.wav": None,
            "wav/id10001/new/00002.wav": None,
        },
        {
            "wav/id10001/vid/00001.wav": ("id10001", "id10001/vid", "train"),
            "wav/id10001/new/00002.wav": ("id10001", "id10001/new", "test"),
        },
    ),
    "voxforge": (
        {"de/ann-20080101-abc/wav/de1.wav": None, "it/anonymous-20100101-xyz/wav/it1.wav": None},
        {
            "de/ann-20080101-abc/wav/de1.wav": ("de", "ann", ""),
            "it/anonymous-20100101-xyz/wav/it1.wav": ("it", "anonymous-20100101-xyz", ""),
        },
    ),
    "nsynth": (
        {
            "nsynth-train/examples.json": nsynth("bass", "bass_acoustic_001"),
            "nsynth-train/audio/bass_acoustic_001-060-075.wav": None,
            "nsynth-test/examples.json": nsynth("flute", "flute_acoustic_002"),
            "nsynth-test/audio/flute_acoustic_002-060-075.wav": None,
        },
        {
            "nsynth-train/audio/bass_acoustic_001-060-075.wav": (
                "bass",
                "bass_acoustic_001",
                "train",
            ),
            "nsynth-test/audio/flute_acoustic_002-060-075.wav": (
                "flute",
                "flute_acoustic_002",
                "test",
            ),
        },
    ),
    "bird_detection": (
        {
            "ff1010bird_metadata.csv": "itemid,hasbird\n64486,0\n",
            "ff1010bird_wav/wav/64486.wav": None,
            "warblrb10k_public_metadata.csv": "itemid,hasbird\nab-cd,1\n",
            "wav/ab-cd.wav": None,
        },
        {
            "ff1010bird_wav/wav/64486.wav": ("none", "64486", ""),
            "wav/ab-cd.wav": ("bird", "ab-cd", ""),
        },
    ),
    "tut2018": (
        {
            "meta.csv": "filename\tscene_label\tidentifier\tsource_label\n"
            "audio/a.wav\tpark\toslo-1\ta\naudio/b.wav\tbus\trome-2\ta\n",
            "evaluation_setup/fold1_train.txt": "audio/a.wav\tpark\n",
            "evaluation_setup/fold1_evaluate.txt": "audio/b.wav\tbus\n",
            "audio/a.wav": None,
            "audio/b.wav": None,
        },
        {"audio/a.wav": ("park", "oslo-1", "train"), "audio/b.wav": ("bus", "rome-2", "test")},
    ),
    "urbansound8k": (
        {
            "metadata/UrbanSound8K.csv": "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
            "100-3-0-0.wav,100,0,1,1,5,3,dog_bark\n200-1-0-0.wav,200,0,1,2,10,1,car_horn\n",
            "audio/fold5/100-3-0-0.wav": None,
            "audio/fold10/200-1-0-0.wav": None,
        },
        {
            "audio/fold5/100-3-0-0.wav": ("dog_bark", "100", "fold5"),
            "audio/fold10/200-1-0-0.wav": ("car_horn", "200", "fold10"),
        },
    ),
    "iemocap": (
        {
            "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt": "% header\n\n"
            "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]\nC-E2:\tNeutral;\n"
            "[9.0 - 9.9]\tSes01F_impro01_M000\txxx\t[1, 1, 1]\n",
            "Session2/dialog/EmoEvaluation/Ses02M_impro03.txt": "[1.0 - 2.0]\tSes02M_impro03_M001\thap\t[1, 1, 1]\n",
            "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav": None,
            "Session2/sentences/wav/Ses02M_impro03/Ses02M_impro03_M001.wav": None,
        },
        {
            "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav": (
                "neutral",
                "Session1",
                "fold1",
            ),
            "Session2/sentences/wav/Ses02M_impro03/Ses02M_impro03_M001.wav": (
                "happy",
                "Session2",
                "fold2",
            ),
        },
    ),
    "cryceleb": (
        {
            "metadata.csv": "baby_id,period,split,chronological_index,file_name\n"
            "spk1,B,train,1,audio/train/spk1/B/spk1_B_001.wav\nspk9,D,test,1,audio/test/spk9/D/spk9_D_001.wav\n",
            "audio/train/spk1/B/spk1_B_001.wav": None,
            "audio/test/spk9/D/spk9_D_001.wav": None,
        },
        {
            "audio/train/spk1/B/spk1_B_001.wav": ("", "spk1", "train"),
            "audio/test/spk9/D/spk9_D_001.wav": ("", "spk9", "test"),
        },
    ),
    "chillanto": (
        {"1s_Pain/p003_1.wav": None, "1s_Pain/p003_2.wav": None, "1s_normal/n12 7.wav": None},
        {
            "1s_Pain/p003_1.wav": ("pain", "Pain/p003", ""),
            "1s_Pain/p003_2.wav": ("pain", "Pain/p003", ""),
            "1s_normal/n12 7.wav": ("normal", "normal/n12", ""),
        },
    ),
    "icbhi_balanced": (
        {f"repos/{ICBHI}_1_1_0.wav": None, f"neg/{ICBHI.replace('101', '102')}_2_0_0.wav": None},
        {
            f"repos/{ICBHI}_1_1_0.wav": ("abnormal", "101", ""),
            f"neg/{ICBHI.replace('101', '102')}_2_0_0.wav": ("normal", "102", ""),
        },
    ),
}
